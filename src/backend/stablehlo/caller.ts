/** Who asked: for errors about what cannot be compiled. */

/** Packages, this backend, and its functions where all files are bundled into one. */
const own =
  /node_modules|node:internal|src.backend.(stablehlo|xla)|at (calledFrom|(Object\.)?kernelFunc|(async )?LazyBackend)/;

/** The innermost line of the stack outside of those; empty where there is none. */
export function calledFrom(): string {
  const caller = (new Error().stack ?? "")
    .split("\n")
    .slice(1)
    .find((line) => !own.test(line));
  return caller === undefined ? "" : ` (called ${caller.trim()})`;
}
