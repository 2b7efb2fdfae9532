// Writes configs/data/lookup-train.jsonl and configs/data/lookup-held-out.jsonl, the rows of configs/lookup.yaml:
//   node tools/lookup-data.mjs
import { importTypeScript, root } from "./import-typescript.mjs";

const { main } = await importTypeScript("tools/lookup-data.ts");
main(root);
