// A model of Qwen2.5-0.5B's shape with random weights and the laboratory's tokenizer, 1 GB: for measuring memory (docs/benchmarks.md).
//   node tools/random-model.mjs /tmp/qwen-shape
import { importTypeScript } from "./import-typescript.mjs";

const { main } = await importTypeScript("tools/random-model.ts");
await main(process.argv.slice(2));
