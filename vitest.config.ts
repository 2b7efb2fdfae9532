import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

export default defineConfig({
  // examples import the library by its name
  resolve: { alias: { rlpt: fileURLToPath(new URL("src/index.ts", import.meta.url)) } },
  test: {
    include: ["tests/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // tensor backends are process-wide; two workers is what the smallest supported machine has
    pool: "forks",
    maxWorkers: 2,
  },
});
