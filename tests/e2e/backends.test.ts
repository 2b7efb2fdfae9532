import { spawn } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { findCblas } from "../../src/backend/wasm/cblas.ts";
import { tensorflowFolder, tensorflowMissing } from "../helpers/engines.ts";
import { optionalPart } from "../helpers/optional.ts";
import { swiftShader, swiftShaderMissing } from "../helpers/swiftshader.ts";
import { rowsWithoutTime, workspace } from "../helpers/tiny-run.ts";
import { xlaHere, xlaMissing } from "../helpers/xla.ts";

/** The same two steps of the quickstart, sampled, scored and trained on every engine. */
const space = workspace();
afterAll(space.remove);

async function firstSteps(
  name: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<number[]> {
  const runDir = space.path(name);
  const command = [
    "bin/rlpt.js",
    "train",
    "configs/quickstart.yaml",
    "--steps",
    "2",
    "--quiet",
    "--run-dir",
    runDir,
  ];
  const child = spawn(process.execPath, [...command, "--set", "data.eval.size=2", ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let errors = "";
  child.stderr.on("data", (text) => {
    errors += text;
  });
  const code = await new Promise((resolve) => child.once("exit", resolve));
  expect(code, errors).toBe(0);
  return rowsWithoutTime(join(runDir, "metrics.csv")).flatMap((row) => [
    Number(row["policy/loss"]),
    Number(row["optim/grad_norm"]),
    Number(row["tokens/total"]),
  ]);
}

let reference: number[];
beforeAll(async () => {
  reference = await firstSteps("simd", ["--backend", "wasm", "--set", "backend.cblas=off"]);
});

async function agrees(name: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<void> {
  const got = await firstSteps(name, args, env);
  expect(got.length).toBe(6);
  for (const [i, value] of got.entries()) {
    expect(Math.abs(value / reference[i]! - 1), `number ${i}: ${value} against ${reference[i]}`).toBeLessThan(
      1e-4,
    );
  }
}

it("the reference says something", () => {
  expect(Math.abs(reference[0]!)).toBeGreaterThan(1e-3);
  expect(reference[1]!).toBeGreaterThan(0.1);
});

const { library } = findCblas();
optionalPart(
  "wasm with CBLAS",
  library !== null,
  "no CBLAS library; rlpt backend install openblas",
)(() => {
  it("agrees on two quickstart steps", () =>
    agrees("cblas", ["--backend", "wasm", "--set", `backend.cblas=${library!.path}`]));
});

const tensorflow = tensorflowFolder();
optionalPart(
  "TensorFlow op by op",
  tensorflow !== null,
  tensorflowMissing,
)(() => {
  it("agrees on two quickstart steps", () =>
    agrees("tensorflow", ["--backend", "tensorflow", "--set", `backend.library=${tensorflow}`]));
});

optionalPart(
  "xla",
  xlaHere,
  xlaMissing,
)(() => {
  it("agrees on two quickstart steps", () => agrees("xla", ["--backend", "xla"]), 180_000);
});

// a minute and more each on two cores; .ci/run sets RLPT_SLOW
const slow = process.env["RLPT_SLOW"] === "1";
optionalPart(
  "cpu",
  slow,
  "slow; set RLPT_SLOW=1",
)(() => {
  it("agrees on two quickstart steps", () => agrees("cpu", ["--backend", "cpu"]), 600_000);
});
optionalPart(
  "WebGPU on SwiftShader",
  slow && swiftShader !== null,
  swiftShader === null ? swiftShaderMissing : "slow; set RLPT_SLOW=1",
)(() => {
  it(
    "agrees on two quickstart steps",
    () => agrees("webgpu", ["--backend", "webgpu"], { VK_ICD_FILENAMES: swiftShader! }),
    600_000,
  );
});
