// One function of parts.ts with arguments in JSON; its result is the last line. `load` calls none.
import { importTypeScript } from "../import-typescript.mjs";

const [name, ...given] = process.argv.slice(2);
const parts = await importTypeScript("tools/gpu-check/parts.ts");
if (name !== "load") {
  const result = await parts[name](...given.map((text) => JSON.parse(text)));
  process.stdout.write(`\n${JSON.stringify(result ?? null)}\n`);
}
// libraries may keep threads alive
process.exit(0);
