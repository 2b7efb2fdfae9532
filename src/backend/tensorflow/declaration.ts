import type { EngineDeclaration } from "../declaration.ts";
import { requireNativeCalls } from "../native-calls.ts";

export const tensorflow = {
  kind: "tensorflow",
  keys: ["library", "threads"],
  computesOn: ["gpu", "cpu"],
  async start(options) {
    await requireNativeCalls();
    const { startTensorFlowLibrary } = await import("./start.ts");
    return startTensorFlowLibrary(options);
  },
} as const satisfies EngineDeclaration;
