/** Yes or no from a person. */
import { createInterface } from "node:readline/promises";
import { ConfigError } from "../lib/errors.ts";

/** @throws ConfigError where nobody can answer */
export async function confirm(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) throw new ConfigError(`${question} Nobody can answer here; say --yes`);
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await prompt.question(`${question} [y/N] `)).trim());
  } finally {
    prompt.close();
  }
}
