/** Moved; for src/cli, tests/cli and tests/e2e until they read it from there. */
export * from "../stablehlo/executor.ts";
