/** Moved; for src/cli until it reads it from there. */
export * from "../stablehlo/lazy-backend.ts";
