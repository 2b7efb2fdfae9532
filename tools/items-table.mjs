// The laboratory's comparison on task `items`: arms x datasets x seeds, as a table, a matrix and a CSV.
//   node tools/items-table.mjs --out runs/items [--arms cls-rl,no-thinking] [--datasets 0,1,2] [--seeds 1,2,3]
// Finished runs are not run again. With --table-only nothing is run.
import { importTypeScript, root } from "./import-typescript.mjs";

const { main } = await importTypeScript("tools/items-table.ts");
process.exitCode = await main(process.argv.slice(2), root);
