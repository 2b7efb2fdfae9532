import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const entries = new Map<string, Promise<URL>>();

/**
 * Where a worker thread starts. The shipped program has `<name>.js` beside the bundle that runs; from TypeScript
 * source the entry is bundled in memory, once per process.
 * @param name file name without extension in dist/, such as math-worker
 * @param source the entry's own file, `new URL("./worker.ts", import.meta.url)`; used only when running from source
 * @throws Error naming both places when neither is there
 */
export function workerEntry(name: string, source: URL): Promise<URL> {
  const known = entries.get(name);
  if (known !== undefined) return known;
  const entry = findEntry(name, source);
  entries.set(name, entry);
  return entry;
}

async function findEntry(name: string, source: URL): Promise<URL> {
  const built = new URL(`./${name}.js`, import.meta.url);
  if (existsSync(built)) return built;
  const path = fileURLToPath(source);
  if (!existsSync(path)) {
    throw new Error(
      `worker ${name}: neither ${fileURLToPath(built)} nor ${path} exists; build the program again`,
    );
  }
  const { build } = await import("esbuild");
  const result = await build({
    entryPoints: [path],
    bundle: true,
    platform: "node",
    format: "esm",
    write: false,
    logLevel: "silent",
    // packages that are CommonJS ask for Node's modules this way
    banner: {
      js: `import { createRequire as __createRequire } from "node:module"; const require = __createRequire(${JSON.stringify(source.href)});`,
    },
  });
  return dataModule(result.outputFiles[0]!.text);
}

/** A module from its text, without a file. It can import Node's own modules only. */
export function dataModule(code: string): URL {
  return new URL(`data:text/javascript;base64,${Buffer.from(code).toString("base64")}`);
}
