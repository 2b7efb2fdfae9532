/** tfjs's WebAssembly backend with kernels of ours, and a CBLAS library for matrix products where there is one. */
import { createRequire } from "node:module";
import { BackendError } from "../../lib/errors.ts";
import type { StartOptions } from "../declaration.ts";
import { describeCpu, setBackend } from "../set-backend.ts";
import { firstLine, type StartedBackend } from "../unavailable.ts";
import type { CblasLibrary } from "./cblas.ts";
import { installWasmKernels } from "./install.ts";

const require = createRequire(import.meta.url);

/** @throws BackendUnavailable when tfjs cannot start it */
export async function startWasm(options: StartOptions): Promise<StartedBackend> {
  const name = "@tensorflow/tfjs-backend-wasm";
  await import("@tensorflow/tfjs-backend-wasm");
  await setBackend("wasm");
  const installed = installWasmKernels({ cblas: await chooseCblas(options) });
  return {
    tfName: "wasm",
    device: describeCpu(),
    description: `WebAssembly, matrix products by ${installed.describe()}`,
    versions: { [name]: (require(`${name}/package.json`) as { version: string }).version },
    matmul: installed.matmul,
  };
}

/** @throws BackendError when a library was named and cannot be used */
async function chooseCblas(options: StartOptions): Promise<CblasLibrary | null> {
  const wanted = options.cblas ?? "auto";
  if (wanted === "off") return null;
  let cblas: typeof import("./cblas.ts");
  try {
    cblas = await import("./cblas.ts");
  } catch (cause) {
    // koffi has no binary for this platform
    if (wanted === "auto") return null;
    throw new BackendError(
      `backend.cblas = ${wanted}: native libraries cannot be opened here: ${firstLine(cause)}`,
      {
        cause,
      },
    );
  }
  if (wanted === "auto") {
    const { library } = cblas.findCblas();
    if (options.threads !== undefined) library?.setThreads(options.threads);
    return library;
  }
  try {
    return cblas.openCblas(wanted, options.threads === undefined ? {} : { threads: options.threads });
  } catch (cause) {
    throw new BackendError(
      `backend.cblas = ${wanted}: ${firstLine(cause)}. Fix: name a library with cblas_sgemm, or use auto or off.`,
      { cause },
    );
  }
}
