import type { EngineDeclaration } from "../declaration.ts";
import { requireNativeCalls } from "../native-calls.ts";

/** Parameters from which compiling pays on a CPU; docs/decisions/0006. */
const SMALLEST_COMPILED = 500_000;

export const xla = {
  kind: "xla",
  keys: ["library", "precision", "devices", "memory_limit", "threads"],
  computesOn: ["gpu", "cpu"],
  leftOut: ({ device, parameters = Infinity }) =>
    device === "cpu" && parameters < SMALLEST_COMPILED
      ? "a model this small is trained op by op before its programs are compiled"
      : null,
  async start(options) {
    await requireNativeCalls();
    const { startXla } = await import("./start.ts");
    return startXla(options);
  },
} as const satisfies EngineDeclaration;
