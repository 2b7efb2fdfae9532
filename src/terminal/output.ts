/** The only place that writes to the terminal. Results go to stdout, errors and progress to stderr. */
import pc from "picocolors";
import { asciiControls, visible, visibleButColours } from "./visible.ts";

type Stream = NodeJS.WriteStream;

/** Colours are for people: off when piped, under NO_COLOR (no-color.org) or --no-color; FORCE_COLOR turns them on. */
export function wantsColour(
  stream: Pick<Stream, "isTTY">,
  env: NodeJS.ProcessEnv = process.env,
  argv: readonly string[] = process.argv,
): boolean {
  if (argv.includes("--no-color") || env["NO_COLOR"]) return false;
  if (env["FORCE_COLOR"] && env["FORCE_COLOR"] !== "0") return true;
  return stream.isTTY === true && env["TERM"] !== "dumb";
}

/** For text that goes to stdout. */
export const colours = pc.createColors(wantsColour(process.stdout));
/** For text that goes to stderr. */
export const errorColours = pc.createColors(wantsColour(process.stderr));

/** Results in words: nothing in them is obeyed, on a terminal or where a file is shown on one later. */
export function print(text = ""): void {
  process.stdout.write(`${obeyingNothing(text, process.stdout)}\n`);
}

/** Escapes are ours only where colours are on; elsewhere each came with the data. */
function obeyingNothing(text: string, stream: Pick<Stream, "isTTY">): string {
  return wantsColour(stream) ? visibleButColours(text) : visible(text);
}

/** A result that a program reads, such as a config: a file gets every byte of it. */
export function printDocument(text: string): void {
  process.stdout.write(`${process.stdout.isTTY ? visibleButColours(text) : text}\n`);
}

/** A part of a result that still grows, without a line end: data, so that nothing in it is obeyed on a terminal. */
export function printPart(text: string): void {
  process.stdout.write(process.stdout.isTTY ? visible(text) : text);
}

export function printJson(value: unknown): void {
  process.stdout.write(`${asciiControls(JSON.stringify(value, null, 2))}\n`);
}

/** One line of JSON lines. */
export function printJsonLine(value: unknown): void {
  process.stdout.write(`${asciiControls(JSON.stringify(value))}\n`);
}

export function printWarning(message: string): void {
  process.stderr.write(`${errorColours.yellow("warning")} ${obeyingNothing(message, process.stderr)}\n`);
}

/** Something that goes on, for people: not part of the result. */
export function printNote(message: string): void {
  process.stderr.write(`${errorColours.dim(obeyingNothing(message, process.stderr))}\n`);
}

/** Why a command failed; no colours are ours in it. */
export function printError(message: string): void {
  process.stderr.write(`${visible(message)}\n`);
}
