/** Every engine, those that `auto` prefers first. A new one is a folder with a declaration, and a line here. */
import { cpu } from "./cpu/declaration.ts";
import type { EngineDeclaration } from "./declaration.ts";
import { tensorflow } from "./tensorflow/declaration.ts";
import { tfjsNode, tfjsNodeGpu } from "./tfjs-node/declaration.ts";
import { wasm } from "./wasm/declaration.ts";
import { webgpu } from "./webgpu/declaration.ts";
import { xla } from "./xla/declaration.ts";

export const engines = [
  xla,
  tensorflow,
  tfjsNodeGpu,
  webgpu,
  tfjsNode,
  wasm,
  cpu,
] as const satisfies readonly EngineDeclaration[];
