import { describe } from "vitest";

/** What `.ci/run` looks for in the name of a skipped test: everything behind it is the reason. */
export const skipMark = "[skipped: ";

/**
 * A `describe` for tests that need something a machine may lack. Where it is missing every test inside is
 * registered as skipped and the suite's name carries the reason, so that reports can list it.
 * @param reason what is missing and how to get it; read only when `available` is false
 */
export function optionalPart(name: string, available: boolean, reason: string): (body: () => void) => void {
  return (body) => {
    if (available) describe(name, body);
    else describe.skip(`${name} ${skipMark}${reason}]`, body);
  };
}
