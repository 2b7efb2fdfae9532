import type { Command } from "commander";
import { colours, print, printJson, printNote, table } from "../terminal.ts";

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
      const { autoChoice, probeBackends } = await import("../probe.ts");
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
    .argument("<what>", "openblas: a BLAS library for the wasm backend's matrix products")
    .option("--wheel <file>", "use this wheel of scipy-openblas32 instead of downloading it")
    .option("--python <program>", "Python whose pip downloads it (default: $RLPT_PYTHON, python3, python)")
    .option("--json", "machine-readable output")
    .action(async (what: string, options: { wheel?: string; python?: string; json?: boolean }) => {
      const { ConfigError } = await import("../../lib/errors.ts");
      if (what !== "openblas") {
        throw new ConfigError(`rlpt backend install: ${what} is not known; it can install openblas.`);
      }
      const { installOpenblas } = await import("../../backend/install-openblas.ts");
      const installation = await installOpenblas({
        ...(options.wheel !== undefined && { wheel: options.wheel }),
        ...(options.python !== undefined && { python: options.python }),
        ...(!options.json && { onProgress: printNote }),
      });
      if (options.json) {
        printJson(installation);
        return;
      }
      print(
        table([
          ["installed", `OpenBLAS ${installation.version}`],
          ["library", installation.library],
          ["sha256", installation.sha256],
        ]),
      );
      print("The wasm backend uses it from now on; rlpt doctor shows it, backend.cblas: off leaves it out.");
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
      const { probeHere } = await import("../probe.ts");
      print(JSON.stringify(await probeHere(known)));
    });
}
