// Simulates reproductions: coverage of intervals, and false verdicts over all looks (docs/decisions/0021-seeds-until-decided.md).
//   node tools/simulate-verdicts.mjs [1000]      reproductions a world
import { importTypeScript } from "./import-typescript.mjs";

const { main } = await importTypeScript("tools/simulate-verdicts.ts");
main(process.argv.slice(2));
