/** After a kill, or damage: what is whole gets its name back, what is damaged is set aside, what is half written goes. */
import { existsSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { checkpointDirectory, checkpointsDirectory, type DamagedCheckpoint, isWhole } from "./checkpoint.ts";

/**
 * Gives back their names to checkpoints that a kill left whole under another one: one whose replacement was cut short, and one that was
 * written and not yet renamed. Removes nothing.
 */
export async function restoreNames(runDir: string): Promise<void> {
  const folder = checkpointsDirectory(runDir);
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder).sort()) {
    const found = /^\.(old|tmp)-(\d+)-/.exec(name);
    if (found === null) continue;
    const target = checkpointDirectory(runDir, Number(found[2]));
    if (existsSync(target)) continue;
    if (found[1] === "old" || (await isWhole(join(folder, name), "hashes")))
      renameSync(join(folder, name), target);
  }
}

/**
 * Removes what a kill left half written or half removed. Call after restoreNames. What a replaced checkpoint held stays where its
 * replacement is damaged.
 */
export async function removeLeftovers(runDir: string): Promise<void> {
  const folder = checkpointsDirectory(runDir);
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    const old = /^\.old-(\d+)-/.exec(name);
    const replaced = old !== null && (await isWhole(checkpointDirectory(runDir, Number(old[1])), "hashes"));
    if (name.startsWith(".tmp-") || replaced) rmSync(join(folder, name), { recursive: true, force: true });
  }
}

/** Renames a damaged checkpoint, so that the run can write its step again. @returns where it lies now */
export function setAside({ directory }: DamagedCheckpoint): string {
  for (let count = 1; ; count++) {
    const aside = `${directory}.damaged${count === 1 ? "" : `-${count}`}`;
    if (existsSync(aside)) continue;
    renameSync(directory, aside);
    return aside;
  }
}
