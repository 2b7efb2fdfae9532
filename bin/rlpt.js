#!/usr/bin/env node
import { bundleUrl } from "./build.js";

const [major] = process.versions.node.split(".").map(Number);
if (major < 20) {
  process.stderr.write(`rlpt needs Node 20 or newer; this is ${process.version}.\n`);
  process.exit(2);
}
if (process.argv.includes("--verbose")) process.setSourceMapsEnabled(true);
const { main } = await import(await bundleUrl());
await main(process.argv);
