import type { EngineDeclaration } from "../declaration.ts";

export const tensorflow = {
  kind: "tensorflow",
  keys: ["library", "threads"],
  computesOn: ["gpu", "cpu"],
  async start(options) {
    const { startTensorFlowLibrary } = await import("./start.ts");
    return startTensorFlowLibrary(options);
  },
} as const satisfies EngineDeclaration;
