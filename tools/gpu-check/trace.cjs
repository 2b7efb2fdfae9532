/**
 * Preloaded (`NODE_OPTIONS=--require`) into what the pack must be able to run: writes down every file below node_modules
 * that a process imports, requires or reads. One path a line, appended to $RLPT_TRACE.
 */
const fs = require("node:fs");
const Module = require("node:module");
const { fileURLToPath, pathToFileURL } = require("node:url");

const append = fs.appendFileSync;
const seen = new Set();

function note(path) {
  const text = String(path);
  if (seen.has(text) || !text.includes("node_modules")) return;
  seen.add(text);
  append(process.env.RLPT_TRACE, `${text}\n`);
}

const resolve = Module._resolveFilename;
Module._resolveFilename = function (...args) {
  const path = resolve.apply(this, args);
  note(path);
  return path;
};

for (const owner of [fs, fs.promises]) {
  for (const name of ["readFile", "readFileSync", "open", "openSync", "createReadStream"]) {
    const original = owner[name];
    if (original === undefined) continue;
    owner[name] = function (path, ...rest) {
      if (typeof path === "string" || path instanceof URL) {
        note(path instanceof URL ? fileURLToPath(path) : path);
      }
      return original.call(this, path, ...rest);
    };
  }
}
Module.syncBuiltinESMExports();

// ES modules, which are resolved on another thread
const hooks = `
  import { appendFileSync } from "node:fs";
  import { fileURLToPath } from "node:url";
  const seen = new Set();
  export async function resolve(specifier, context, next) {
    const found = await next(specifier, context);
    if (found.url.startsWith("file:") && found.url.includes("node_modules") && !seen.has(found.url)) {
      seen.add(found.url);
      appendFileSync(${JSON.stringify(process.env.RLPT_TRACE)}, fileURLToPath(found.url) + "\\n");
    }
    return found;
  }`;
Module.register(`data:text/javascript,${encodeURIComponent(hooks)}`, pathToFileURL(__filename));
