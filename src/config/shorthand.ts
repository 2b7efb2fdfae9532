/** Short spellings that mean the same: `backend: wasm`, `sampler: success-rate`, and data with a path, or sources, but no kind. */
import type { MapNode, Node } from "./source.ts";

function withKind(map: MapNode, kind: string): MapNode {
  const node: Node = { type: "scalar", value: kind, origin: map.origin, base: map.base };
  return { ...map, entries: new Map([["kind", node], ...map.entries]) };
}

/** A dataset with a path is a file, one with sources a mixture. */
function dataset(node: Node): Node {
  if (node.type !== "map") return node;
  const sources = node.entries.get("sources");
  const whole =
    sources?.type === "list"
      ? {
          ...node,
          entries: new Map([...node.entries, ["sources", { ...sources, items: sources.items.map(dataset) }]]),
        }
      : node;
  if (whole.entries.has("kind")) return whole;
  if (whole.entries.has("path")) return withKind(whole, "file");
  return whole.entries.has("sources") ? withKind(whole, "mixture") : whole;
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
    const parts = [...data.entries].map(([key, part]): [string, Node] => [key, dataset(part)]);
    entries.set("data", { ...data, entries: new Map(parts) });
  }
  return { ...root, entries };
}
