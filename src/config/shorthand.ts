/** Short spellings that mean the same: `backend: wasm`, and data with a path but no kind. */
import type { MapNode, Node } from "./source.ts";

function withKind(map: MapNode, kind: string): MapNode {
  const node: Node = { type: "scalar", value: kind, origin: map.origin, base: map.base };
  return { ...map, entries: new Map([["kind", node], ...map.entries]) };
}

/** Applied to each layer before it is merged, so that a layer's kind is known. */
export function expandShorthand(root: MapNode): MapNode {
  const entries = new Map(root.entries);
  const backend = entries.get("backend");
  if (backend?.type === "scalar" && typeof backend.value === "string") {
    const { origin, base } = backend;
    entries.set("backend", { type: "map", entries: new Map([["kind", backend]]), origin, base });
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
