import type { Command } from "commander";
import { ConfigError } from "../../lib/errors.ts";
import { printNote } from "../../terminal/terminal.ts";

interface WatchFlags {
  interval: string;
  once?: boolean;
  json?: boolean;
}

export function register(program: Command): void {
  program
    .command("watch")
    .description("follow a run from another terminal, across resumes; q or Ctrl-C ends")
    .argument("<run>", "run directory")
    .option("--interval <seconds>", "between two looks at its files", "1")
    .option("--once", "show where it is, then stop")
    .option("--json", "JSON lines, as rlpt train --json writes them")
    .action(async (runDir: string, flags: WatchFlags) => {
      const interval = Number(flags.interval);
      if (!(interval >= 0.05 && interval <= 3600)) {
        throw new ConfigError(`--interval ${flags.interval}: give seconds from 0.05 to 3600`);
      }
      const { watchRun } = await import("../../terminal/watch/watch.ts");
      const { isReaderGone } = await import("../../terminal/streams.ts");
      const { createKeys } = await import("../../terminal/watch/keys.ts");
      const { terminalProgress } = await import("../../terminal/progress.ts");
      const keys = createKeys(process.stdin);
      try {
        const end = await watchRun(runDir, {
          display: (run) => terminalProgress({ ...run, mode: flags.json ? "json" : "auto" }),
          wait: async () => (isReaderGone() ? "stop" : keys.wait(1000 * interval)),
          ...(flags.once ? { once: true } : {}),
        });
        if (!flags.json && end === "finished") printNote(`${runDir} is finished`);
      } finally {
        keys.dispose();
      }
    });
}
