/** A command line in this process, as bin/rlpt.js starts it, with what it says. */
import { CommanderError } from "commander";
import { createProgram } from "../../src/cli/main.ts";
import { RlptError } from "../../src/lib/errors.ts";
import { visible } from "../../src/terminal/visible.ts";

export interface Said {
  status: number;
  out: string;
  err: string;
  /** What must not be: an error that is none of ours, a stack, a character that steers a terminal. */
  fault?: string;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not come through
export const STEERING = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/;

/** An unexpected error, as the command line would report it with --verbose. */
export const stackOf = (error: unknown): string =>
  error instanceof Error ? String(error.stack).split("\n").slice(0, 6).join("\n") : String(error);

/** @param argv as after `rlpt` */
export async function command(argv: readonly string[]): Promise<Said> {
  const said = { out: "", err: "" };
  const { stdout, stderr } = process;
  const writes = { out: stdout.write, err: stderr.write };
  const take = (to: "out" | "err") =>
    ((chunk: unknown, ...rest: unknown[]) => {
      said[to] += typeof chunk === "string" ? chunk : Buffer.from(chunk as Uint8Array).toString();
      (rest.at(-1) as (() => void) | undefined)?.call?.(null);
      return true;
    }) as typeof stdout.write;
  stdout.write = take("out");
  stderr.write = take("err");
  let status: number;
  let fault: string | undefined;
  try {
    process.exitCode = 0;
    await createProgram().parseAsync(["node", "rlpt", ...argv]);
    status = Number(process.exitCode ?? 0);
  } catch (error) {
    if (error instanceof CommanderError) status = error.exitCode === 0 ? 0 : 2;
    else {
      status = error instanceof RlptError ? error.exitCode : 1;
      // as the command line prints it
      said.err += visible(error instanceof Error ? error.message : String(error));
      if (!(error instanceof RlptError)) fault = `rlpt ${argv[0]}: unexpected error: ${stackOf(error)}`;
    }
  } finally {
    stdout.write = writes.out;
    stderr.write = writes.err;
    process.exitCode = 0;
  }
  const shown = said.out + said.err;
  if (fault === undefined && /^\s+at .+:\d+:\d+\)?$/m.test(shown))
    fault = `rlpt ${argv[0]} printed a stack: ${shown.slice(0, 500)}`;
  const steers = STEERING.exec(shown);
  if (fault === undefined && steers !== null)
    fault = `rlpt ${argv[0]} wrote a character that steers terminals: ${JSON.stringify(shown.slice(Math.max(0, steers.index - 60), steers.index + 20))}`;
  return { status, ...said, ...(fault === undefined ? {} : { fault }) };
}
