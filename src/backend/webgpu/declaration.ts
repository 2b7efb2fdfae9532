import type { EngineDeclaration } from "../declaration.ts";

export const webgpu = {
  kind: "webgpu",
  keys: [],
  computesOn: ["gpu"],
  autoOnly: "with a real GPU",
  async start(_options, auto) {
    const { startWebgpu } = await import("./start.ts");
    return startWebgpu({ allowSoftware: !auto });
  },
} as const satisfies EngineDeclaration;
