import type { EngineDeclaration } from "../declaration.ts";

export const tfjsNode = {
  kind: "tfjs-node",
  keys: [],
  computesOn: ["cpu"],
  async start() {
    const { startTensorFlow } = await import("./start.ts");
    return startTensorFlow("tfjs-node");
  },
} as const satisfies EngineDeclaration;

export const tfjsNodeGpu = {
  kind: "tfjs-node-gpu",
  keys: [],
  computesOn: ["gpu"],
  async start() {
    const { startTensorFlow } = await import("./start.ts");
    return startTensorFlow("tfjs-node-gpu");
  },
} as const satisfies EngineDeclaration;
