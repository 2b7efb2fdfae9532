#!/usr/bin/env node
import { bundleUrl } from "./build.js";

const [major] = process.versions.node.split(".").map(Number);
if (major < 20) {
  process.stderr.write(`rlpt needs Node 20 or newer; this is ${process.version}.\n`);
  process.exit(2);
}
if (process.argv.includes("--verbose")) process.setSourceMapsEnabled(true);
const bundle = await bundleUrl().catch((error) => {
  process.stderr.write(`${process.argv.includes("--verbose") ? error.stack : error.message}\n`);
  process.exit(1);
});
const { main } = await import(bundle);
await main(process.argv);
