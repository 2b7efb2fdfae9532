/** `rlpt sample` computes with the engine that `rlpt train` would take for the same model. */
import { mkdirSync } from "node:fs";
import { afterAll, beforeEach, expect, it, vi } from "vitest";
import { sampleFrom } from "../../src/training/sample-prompt.ts";
import { runTraining, tinyGrpo, workspace } from "../helpers/tiny-run.ts";

const asked: unknown[] = [];
vi.mock("../../src/backend/select.ts", async (original) => {
  const real = await original<typeof import("../../src/backend/select.ts")>();
  return {
    ...real,
    startBackend: (options: Parameters<typeof real.startBackend>[0]) => {
      asked.push(options);
      return real.startBackend({ ...options, kind: "wasm" });
    },
  };
});

const space = workspace();
afterAll(space.remove);
beforeEach(() => {
  asked.length = 0;
});

const request = {
  count: "1",
  temperature: "0",
  topP: "1",
  seed: "1",
  stop: [],
  maxNewTokens: "2",
  raw: true,
};
const sample = (path: string, more = {}) => sampleFrom(path, "3+4=", { ...request, ...more }, () => {});

it("asks for it with the model's size and the run's own settings", async () => {
  const config = space.write(
    "c.yaml",
    tinyGrpo.replace(
      /model:[\s\S]*?(?=data:)/,
      "model: { path: models/lab-small }\nbackend: { cblas: off }\n",
    ),
  );
  mkdirSync(space.path("runs"), { recursive: true });
  const { runDir } = await runTraining(config, { steps: "1", runDir: space.path("runs/a"), backend: "auto" });
  const [trained] = asked.splice(0) as { parameters: number }[];
  expect(trained!.parameters).toBe(144_832);
  for (const path of [config, runDir]) await sample(path);
  expect(asked).toEqual([trained, trained]);
});

it("asks for it by a bare model's size too, and for another by --backend", async () => {
  await sample("models/lab-small");
  await sample("models/lab-small", { backend: "cpu" });
  expect(asked).toMatchObject([
    { kind: "auto", parameters: 144_832 },
    { kind: "cpu", parameters: 144_832 },
  ]);
  await expect(sample("models/lab-small", { backend: "gpu" })).rejects.toThrow(
    "--backend gpu: use one of auto",
  );
});
