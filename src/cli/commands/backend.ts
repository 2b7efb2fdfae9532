import type { Command } from "commander";
import { colours, print, printJson, printNote, table } from "../../terminal/terminal.ts";

interface InstallCommandOptions {
  wheel?: string[];
  python?: string;
  gpu?: boolean;
  json?: boolean;
}

const installHelp = `
  openblas    faster matrix products for the wasm backend (8 MB)
  xla-cpu     XLA for the CPU as a PJRT plugin: runs compiled programs (63 MB)
  tensorflow  TensorFlow's library: compiled programs, and backend tensorflow (274 MB)
  cuda13      XLA for NVIDIA GPUs with CUDA 13's libraries (gigabytes)
  cuda12      the same with CUDA 12's libraries
  rocm        XLA for AMD GPUs (133 MB); ROCm 7 itself comes from the system`;

async function installBlas(options: InstallCommandOptions): Promise<void> {
  const { ConfigError } = await import("../../lib/errors.ts");
  if ((options.wheel?.length ?? 0) > 1) throw new ConfigError("openblas is one wheel: give --wheel once.");
  const { installOpenblas } = await import("../../backend/wasm/install-openblas.ts");
  const installation = await installOpenblas({
    ...(options.wheel?.[0] !== undefined && { wheel: options.wheel[0] }),
    ...(options.python !== undefined && { python: options.python }),
    ...(!options.json && { onProgress: printNote }),
  });
  if (options.json) return printJson(installation);
  print(
    table([
      ["installed", `OpenBLAS ${installation.version}`],
      ["library", installation.library],
      ["sha256", installation.sha256],
    ]),
  );
  print("The wasm backend uses it from now on; rlpt doctor shows it, backend.cblas: off leaves it out.");
}

async function installCompiled(what: string, options: InstallCommandOptions): Promise<void> {
  const { ConfigError } = await import("../../lib/errors.ts");
  const { installableEngines, installEngine } = await import("../../backend/xla/install.ts");
  const engine = installableEngines.find((each) => each === what);
  if (engine === undefined) {
    throw new ConfigError(
      `rlpt backend install: ${what} is not known; it can install openblas, ${installableEngines.join(", ")}.`,
    );
  }
  if (options.gpu && engine !== "tensorflow") {
    throw new ConfigError(`--gpu goes with tensorflow; ${engine} is for one kind of device.`);
  }
  const installation = await installEngine(engine, {
    ...(options.gpu && { gpu: true }),
    ...(options.wheel !== undefined && { wheels: options.wheel }),
    ...(options.python !== undefined && { python: options.python }),
    ...(!options.json && { onProgress: printNote }),
  });
  if (options.json) return printJson(installation);
  print(
    table([
      ["installed", installation.wheels.map(({ file }) => file).join(", ")],
      ["folder", installation.folder],
      ["tested", installation.tested],
    ]),
  );
}

export function register(program: Command): void {
  const backend = program
    .command("backend")
    .description("list tensor backends, and install what makes them faster");

  backend
    .command("ls")
    .description("every backend: does it work here")
    .option("--json", "machine-readable output")
    .action(async (options: { json?: boolean }) => {
      const { backendKinds } = await import("../../backend/options.ts");
      const { autoChoice, probeBackends } = await import("../../processes/probe.ts");
      const results = await probeBackends(backendKinds);
      const chosen = autoChoice(results)?.kind ?? null;
      if (options.json) {
        printJson({ chosen, backends: results });
        return;
      }
      print(
        table(
          results.map((result) => [
            result.kind === chosen ? colours.bold(`${result.kind} *`) : result.kind,
            result.usable ? colours.green("works") : colours.dim("no"),
            result.usable ? result.info.description : result.reason,
          ]),
        ),
      );
      print(colours.dim("* what auto takes; rlpt doctor tells more"));
    });

  backend
    .command("install")
    .description("fetch a native library into rlpt's cache folder")
    .argument("<what>", "openblas, tensorflow, xla-cpu, cuda12, cuda13 or rocm")
    .option("--wheel <file...>", "use these wheels instead of downloading them")
    .option("--python <program>", "Python whose pip downloads (default: $RLPT_PYTHON, python3, python)")
    .option("--gpu", "tensorflow only: the build for NVIDIA GPUs")
    .option("--json", "machine-readable output")
    .addHelpText("after", installHelp)
    .action(async (what: string, options: InstallCommandOptions) => {
      if (what === "openblas") await installBlas(options);
      else await installCompiled(what, options);
    });

  backend
    .command("probe", { hidden: true })
    .argument("<kind>")
    .action(async (kind: string) => {
      const { backendKinds } = await import("../../backend/options.ts");
      const known = backendKinds.find((each) => each === kind);
      const { ConfigError } = await import("../../lib/errors.ts");
      if (known === undefined)
        throw new ConfigError(`${kind} is not a backend; use ${backendKinds.join(", ")}.`);
      const { probeHere } = await import("../../processes/probe.ts");
      print(JSON.stringify(await probeHere(known)));
    });
}
