import type { EngineDeclaration } from "../declaration.ts";

export const cpu = {
  kind: "cpu",
  keys: [],
  computesOn: ["cpu"],
  async start() {
    const { describeCpu, setBackend } = await import("../set-backend.ts");
    await setBackend("cpu");
    return {
      tfName: "cpu",
      device: describeCpu(),
      description: "plain JavaScript, one thread",
      versions: {},
    };
  },
} as const satisfies EngineDeclaration;
