// Compiles src/backend/wasm/assembly with AssemblyScript, twice (plain SIMD and relaxed SIMD with FMA),
// and writes both modules as base64 into src/backend/wasm/kernels.generated.ts.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const sources = join(root, "src/backend/wasm/assembly");
export const generatedPath = join(root, "src/backend/wasm/kernels.generated.ts");

/** @param {string[]} features @returns {Promise<Uint8Array>} the module's bytes */
async function compile(features) {
  const { main } = await import("assemblyscript/asc");
  let binary;
  const { error, stderr } = await main(
    [
      "index.ts",
      "--outFile",
      "kernels.wasm",
      "--optimizeLevel",
      "3",
      "--shrinkLevel",
      "0",
      "--converge",
      "--noAssert",
      "--runtime",
      "stub",
      "--importMemory",
      ...features.flatMap((feature) => ["--enable", feature]),
    ],
    {
      readFile: (name, baseDir) => {
        try {
          return readFileSync(join(baseDir === "." ? sources : join(sources, baseDir), name), "utf8");
        } catch {
          return null;
        }
      },
      writeFile: (_name, contents) => {
        binary = contents;
      },
      listFiles: () => readdirSync(sources),
    },
  );
  if (error || !binary) throw new Error(`assemblyscript: ${error?.message ?? ""}\n${stderr.toString()}`);
  if (hasData(binary)) throw new Error("the module has a data section: it would overwrite tfjs's memory");
  return binary;
}

/** @param {Uint8Array} module @returns {boolean} whether it writes into memory when instantiated (section 11) */
function hasData(module) {
  let at = 8;
  while (at < module.length) {
    const section = module[at++];
    let size = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = module[at++];
      size |= (byte & 127) << shift;
      if (byte < 128) break;
    }
    if (section === 11) return true;
    at += size;
  }
  return false;
}

/** The text of kernels.generated.ts. */
export async function generate() {
  const plain = await compile(["simd"]);
  const relaxed = await compile(["simd", "relaxed-simd"]);
  const text = (name, bytes) =>
    `export const ${name} =\n  ${JSON.stringify(Buffer.from(bytes).toString("base64"))};\n`;
  return [
    "// Made by `npm run build:wasm` from assembly/; a test compares it. Do not edit.\n",
    text("simdKernels", plain),
    text("relaxedSimdKernels", relaxed),
  ].join("");
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const text = await generate();
  writeFileSync(generatedPath, text);
  process.stdout.write(`src/backend/wasm/kernels.generated.ts: ${text.length} characters\n`);
}
