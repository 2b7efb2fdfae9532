import { basename, resolve } from "node:path";
import type { Command } from "commander";
import { ConfigError } from "../../lib/errors.ts";
import { flagNumber } from "../../lib/flag-number.ts";
import { createInterrupt } from "../../run/interrupt.ts";
import { print, printNote, printWarning } from "../../terminal/terminal.ts";
import { collect } from "../flags.ts";

interface ServeFlags {
  name?: string;
  adapter: string[];
  host: string;
  port: string;
  batch: string;
  queue: string;
  cacheMb: string;
  maxBody: string;
  seed: string;
  backend: string;
  checkpoint?: string;
}

const LOOPBACK = new Set(["127.0.0.1", "localhost", "::1"]);

export function register(program: Command): void {
  program
    .command("serve")
    .description("answer OpenAI's API: chat completions and completions, streamed or whole")
    .argument("<target>", "run directory, checkpoint, config, model directory, .gguf file or Hub id")
    .option("--name <name>", "what requests call the model; the target's last part when absent")
    .option(
      "--adapter <name=path>",
      "a LoRA adapter on the same weights, as a model of its own; again for more",
      collect,
      [],
    )
    .option("--host <address>", "who may reach it; 0.0.0.0 is everybody", "127.0.0.1")
    .option("--port <n>", "0: any that is free", "8000")
    .option("--batch <n>", "completions decoded together", "16")
    .option("--queue <n>", "completions that may wait; more are refused with status 429", "64")
    .option("--cache-mb <n>", "megabytes of keys and values of a batch", "1024")
    .option("--max-body <bytes>", "size of a request", "1000000")
    .option("--seed <n>", "of requests that name none", "1")
    .option("--backend <kind>", "tensor engine", "auto")
    .option("--checkpoint <which>", "of a run directory: latest, best, or a step")
    .action(async (target: string, flags: ServeFlags) => {
      const whole = (flag: string, text: string, low: number, high: number) =>
        flagNumber(flag, text, low, high, true);
      const options = {
        host: flags.host,
        port: whole("--port", flags.port, 0, 65535),
        batchRows: whole("--batch", flags.batch, 1, 4096),
        queueRows: whole("--queue", flags.queue, 1, 1_000_000),
        cacheBytes: 1e6 * whole("--cache-mb", flags.cacheMb, 1, 1_000_000),
        bodyBytes: whole("--max-body", flags.maxBody, 1000, 1_000_000_000),
        seed: whole("--seed", flags.seed, 0, Number.MAX_SAFE_INTEGER),
      };
      const adapters = flags.adapter.map((text) => {
        const at = text.indexOf("=");
        if (at < 1 || at === text.length - 1)
          throw new ConfigError(`--adapter ${text}: give name=path of a PEFT directory`);
        return { name: text.slice(0, at), path: text.slice(at + 1) };
      });
      const name = flags.name ?? basename(resolve(target)).replace(/\.gguf$/, "");
      const names = [name, ...adapters.map((one) => one.name)];
      const twice = names.find((one, i) => names.indexOf(one) !== i);
      if (twice !== undefined)
        throw new ConfigError(`two models would be called ${twice}: choose another --name or --adapter name`);

      const { openPolicy, startNamedBackend } = await import("../../training/open-policy.ts");
      const { readAdapter } = await import("../../training/assemble.ts");
      const { serve } = await import("../../serving/server.ts");
      await startNamedBackend(flags.backend, printNote);
      const { files, policy } = await openPolicy(target, flags.checkpoint, printNote);
      const models = [
        { name, policy, files },
        ...adapters.map((one) => ({
          name: one.name,
          policy: policy.withAdapter(readAdapter(one.path)),
          files,
        })),
      ];
      const server = await serve(models, options);
      if (!LOOPBACK.has(flags.host))
        printWarning(`whoever reaches ${server.url} may use it: there is no key`);
      print(`${names.join(", ")} at ${server.url}`);
      await new Promise<void>((done) => createInterrupt(() => done()));
      printNote("no new requests; those that are there are answered. Again to stop at once");
      await server.stop();
      for (const model of models.reverse()) model.policy.dispose();
    });
}
