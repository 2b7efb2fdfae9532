import { createHash } from "node:crypto";

/**
 * Whether an id falls into the eval part: a function of salt and id alone, so it stays when rows come, go
 * or move. @param share of ids in the eval part, 0..1
 */
export function isEvalPart(id: string, salt: string, share: number): boolean {
  const digest = createHash("sha256")
    .update(JSON.stringify([salt, id]))
    .digest();
  return digest.readUIntBE(0, 6) / 2 ** 48 < share;
}
