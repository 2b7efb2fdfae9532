// What holding a model's matrices quantised (model.base_dtype) does to its logits over 256 tokens of a text.
//   node tools/quantised-gap.mjs SmolLM2-135M-Instruct.Q4_1.gguf README.md
import { importTypeScript } from "./import-typescript.mjs";

const { main } = await importTypeScript("tools/quantised-gap.ts");
await main(process.argv.slice(2));
