/** Short spellings that mean the same: `backend: wasm`, `sampler: success-rate`, and data with a path but no kind. */
import type { MapNode, Node } from "./source.ts";

function withKind(map: MapNode, kind: string): MapNode {
  const node: Node = { type: "scalar", value: kind, origin: map.origin, base: map.base };
  return { ...map, entries: new Map([["kind", node], ...map.entries]) };
}

/** Applied to each layer before it is merged, so that a layer's kind is known. */
export function expandShorthand(root: MapNode): MapNode {
  const entries = new Map(root.entries);
  for (const key of ["backend", "sampler"]) {
    const kind = entries.get(key);
    if (kind?.type !== "scalar" || typeof kind.value !== "string") continue;
    const { origin, base } = kind;
    entries.set(key, { type: "map", entries: new Map([["kind", kind]]), origin, base });
  }
  const data = entries.get("data");
  if (data?.type === "map") {
    const parts = [...data.entries].map(([key, part]): [string, Node] => {
      const isFile = part.type === "map" && part.entries.has("path") && !part.entries.has("kind");
      return [key, isFile ? withKind(part, "file") : part];
    });
    entries.set("data", { ...data, entries: new Map(parts) });
  }
  return { ...root, entries };
}
