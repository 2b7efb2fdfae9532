/** A person at the terminal, line by line. */
import { createInterface } from "node:readline";
import { errorColours } from "./output.ts";

export interface Lines {
  /** null: the person has gone (Ctrl-D). */
  ask(): Promise<string | null>;
  onInterrupt(call: () => void): void;
  close(): void;
}

/** Prompts go to stderr, so that stdout holds replies alone. */
export function openLines(prompt: string): Lines {
  const lines = createInterface({
    input: process.stdin,
    output: process.stderr,
    terminal: process.stdin.isTTY,
  });
  lines.setPrompt(errorColours.bold(prompt));
  const waiting: ((line: string | null) => void)[] = [];
  const typed: string[] = [];
  let closed = false;
  lines.on("line", (line) => {
    const next = waiting.shift();
    if (next) next(line);
    else typed.push(line);
  });
  lines.on("close", () => {
    closed = true;
    for (const next of waiting.splice(0)) next(null);
  });
  return {
    ask: () => {
      const line = typed.shift();
      if (line !== undefined) return Promise.resolve(line);
      if (closed) return Promise.resolve(null);
      lines.prompt();
      return new Promise((resolve) => waiting.push(resolve));
    },
    onInterrupt: (call) => {
      lines.on("SIGINT", call);
      process.on("SIGINT", call);
    },
    close: () => lines.close(),
  };
}

/** All of standard input, where it is no terminal. */
export async function pipedInput(): Promise<string | null> {
  if (process.stdin.isTTY) return null;
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks)
    .toString("utf8")
    .replace(/\r?\n$/, "");
}
