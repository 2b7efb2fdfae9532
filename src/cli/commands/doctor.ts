import type { Command } from "commander";
import { colours, formatBytes, formatSeconds, print, printJson, table } from "../../terminal/terminal.ts";

export function register(program: Command): void {
  program
    .command("doctor")
    .description("what this machine has, which backend is taken and why, and what would make it faster")
    .option("--json", "machine-readable output")
    .action(async (options: { json?: boolean }) => {
      const { diagnose } = await import("../doctor.ts");
      const diagnosis = await diagnose();
      if (options.json) printJson(diagnosis);
      else print(render(diagnosis));
      if (diagnosis.chosen === null) process.exitCode = 1;
    });
}

function render(diagnosis: import("../doctor.ts").Diagnosis): string {
  const { machine, backends, chosen, cblas, engines, advice } = diagnosis;
  const heading = (text: string) => colours.bold(text);
  const lines = [heading("Machine")];
  lines.push(
    table(
      [
        ["CPU", `${machine.cpu}`],
        ["cores", `${machine.cores}`],
        ["memory", `${formatBytes(machine.memoryBytes)}, ${formatBytes(machine.freeMemoryBytes)} free`],
        ...machine.gpus.map((gpu) => ["GPU", gpu]),
        ["Node", `${machine.node} on ${machine.platform}`],
        ["rlpt", machine.rlpt],
        ["cache", machine.cache],
      ],
      { indent: 2 },
    ),
    "",
    heading("Backends"),
  );
  const rows = backends.map((result): string[] => {
    const name = result.kind === chosen ? colours.bold(result.kind) : result.kind;
    if (!result.usable) {
      const fix = result.fix === null ? "" : `\n${colours.dim(`fix: ${result.fix}`)}`;
      return [name, colours.dim("no"), `${result.reason}${fix}`];
    }
    const { deviation, checks } = result.info.selfTest;
    const test = `self-test: ${checks} numbers within ${deviation.toExponential(0)}; started in ${formatSeconds(result.seconds)}`;
    const software = result.info.device.endsWith("(software)");
    const state = software ? colours.yellow("slow") : colours.green("works");
    return [name, state, `${result.info.description}\n${colours.dim(test)}`];
  });
  lines.push(table(rows, { indent: 2 }), "", heading("Matrix products on wasm"));
  if (cblas.found !== null) {
    lines.push(table([["CBLAS", cblas.found]], { indent: 2 }));
  } else {
    const looked = cblas.tried.filter(({ reason }) => !/no such file/i.test(reason));
    const others = cblas.tried.length - looked.length;
    lines.push("  no CBLAS library was found, so the built-in SIMD kernel multiplies");
    const tried = looked.map(({ path, reason }) => [path, reason]);
    if (others > 0) tried.push([`${others} places`, "not there (rlpt doctor --json lists them)"]);
    lines.push(table(tried, { indent: 4 }));
  }
  lines.push("", heading("Compiled programs (xla)"));
  if (engines.found.length > 0) {
    const found = engines.found.map(({ what, path, origin, lacks }) => [
      what,
      `${path} (${origin})${lacks === null ? "" : `\n${colours.dim(lacks)}`}`,
    ]);
    lines.push(table(found, { indent: 2 }));
  } else {
    lines.push("  neither a PJRT plugin nor TensorFlow's library was found");
    lines.push(colours.dim("  fix: rlpt backend install xla-cpu (63 MB); cuda12, cuda13 or rocm for a GPU"));
  }
  lines.push("", heading("Choice"));
  lines.push(chosen === null ? colours.red("  no backend works") : `  auto takes ${colours.green(chosen)}`);
  lines.push(
    advice.command === null
      ? `  ${advice.text}`
      : `  faster: ${colours.cyan(advice.command)}\n${table([["  ", advice.text]])}`,
  );
  return lines.join("\n");
}
