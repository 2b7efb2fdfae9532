import type { EngineDeclaration } from "../declaration.ts";

export const wasm = {
  kind: "wasm",
  keys: ["cblas", "threads"],
  computesOn: ["cpu"],
  async start(options) {
    const { startWasm } = await import("./start.ts");
    return startWasm(options);
  },
} as const satisfies EngineDeclaration;
