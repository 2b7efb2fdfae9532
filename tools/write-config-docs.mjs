// Writes docs/config.md from the option schemas. Run from anywhere: node tools/write-config-docs.mjs
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { importTypeScript, root } from "./import-typescript.mjs";

const { configDocs } = await importTypeScript("tools/documents/config.ts");
writeFileSync(join(root, "docs", "config.md"), configDocs());
