import type { Command } from "commander";
import { colours, print, printJson, table } from "../../terminal/terminal.ts";
import { wholeNumber } from "../flags.ts";

interface ConformanceFlags {
  backend: string;
  batches: string;
  seed: string;
  json?: boolean;
}

export function register(program: Command): void {
  program
    .command("conformance")
    .description(
      "check losses and advantage estimators against their equations, and that planted faults are seen",
    )
    .option("--backend <kind>", "what computes the tensors", "cpu")
    .option("--batches <n>", "random batches of each check", "8")
    .option("--seed <n>", "of the batches", "1")
    .option("--json", "machine-readable output")
    .action(async (flags: ConformanceFlags) => {
      const { ConfigError } = await import("../../lib/errors.ts");
      const { backendKinds } = await import("../../backend/options.ts");
      const { startBackend } = await import("../../backend/select.ts");
      const { conformance } = await import("../../conformance/run.ts");
      const kinds = ["auto", ...backendKinds] as const;
      const kind = kinds.find((one) => one === flags.backend);
      if (kind === undefined) {
        throw new ConfigError(`--backend ${flags.backend}: there is ${kinds.join(", ")}`);
      }
      const [batches, seed] = [wholeNumber(flags.batches, "--batches", 1), wholeNumber(flags.seed, "--seed")];
      const { kind: backend, device } = await startBackend({ kind });
      const checks = await conformance({ seed, batches });
      if (flags.json) printJson({ backend, device, checks });
      else {
        const digits = (value: number) => (Number.isFinite(value) ? value.toExponential(1) : String(value));
        print(
          table(
            checks.map(({ name, error, bound, planted, ok }) => [
              ok ? colours.green("ok") : colours.red("FAILED"),
              name,
              digits(error),
              `${planted ? ">" : "<="} ${digits(bound)}`,
            ]),
            { header: ["", "check", "error", "must be"], align: ["left", "left", "right", "left"] },
          ),
        );
        const failed = checks.filter(({ ok }) => !ok).length;
        const planted = checks.filter((check) => check.planted).length;
        print(
          `\n${checks.length - planted} checks and ${planted} planted faults on ${backend}: ${failed === 0 ? "all as they must be" : `${failed} FAILED`}`,
        );
      }
      if (checks.some(({ ok }) => !ok)) process.exitCode = 1;
    });
}
