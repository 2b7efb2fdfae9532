/** A file of the user's as code for a thread, TypeScript or not, with what it imports, in one piece. */
import { dirname } from "node:path";
import { pathToFileURL } from "node:url";
import { ConfigError } from "./errors.ts";
import { dataModule } from "./worker-entry.ts";

/**
 * @param harness what runs in the thread; it imports USER_FILE
 * @param what the file is, for messages: reward, environment
 * @throws ConfigError with esbuild's finding and its line
 */
export async function bundleUserFile(path: string, harness: string, what: string): Promise<URL> {
  const { build } = await import("esbuild");
  const own = JSON.stringify(pathToFileURL(path).href);
  try {
    const result = await build({
      stdin: {
        contents: harness.replace("USER_FILE", path.replaceAll("\\", "/")),
        resolveDir: dirname(path),
        loader: "js",
      },
      bundle: true,
      platform: "node",
      format: "esm",
      target: "node20",
      write: false,
      logLevel: "silent",
      // the module runs from memory: its own place is written in
      define: { "import.meta.url": own },
      banner: {
        js: `import { createRequire as __createRequire } from "node:module"; const require = __createRequire(${own});`,
      },
    });
    return dataModule(result.outputFiles[0]!.text);
  } catch (error) {
    const first = (error as { errors?: { text: string; location: { line: number } | null }[] }).errors?.[0];
    const where = first?.location ? `:${first.location.line}` : "";
    throw new ConfigError(`${path}${where}: the ${what} cannot be read: ${first?.text ?? String(error)}`, {
      cause: error,
    });
  }
}
