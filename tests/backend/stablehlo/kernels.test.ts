/** Every kernel of the xla backend against float64 or exact integers, executed; many kernels in one program. */
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Executor } from "../../../src/backend/stablehlo/executor.ts";
import { definedKernels } from "../../../src/backend/stablehlo/kernels/define.ts";
import { startLazyBackend } from "../../../src/backend/xla/start.ts";
import { optionalPart } from "../../helpers/optional.ts";
import { openTestExecutor, xlaHere, xlaMissing } from "../../helpers/xla.ts";
import { compared } from "./kernels/cases.ts";
import { elementwiseTests } from "./kernels/elementwise.ts";
import { fusedTests } from "./kernels/fused.ts";
import { reductionTests } from "./kernels/reductions.ts";
import { shapeTests } from "./kernels/shapes.ts";

let executor: Executor | null = null;
afterAll(() => executor?.close());

optionalPart(
  "xla kernels",
  xlaHere,
  xlaMissing,
)(() => {
  beforeAll(async () => {
    executor = openTestExecutor();
    await startLazyBackend(executor);
  });

  elementwiseTests();
  shapeTests();
  reductionTests();
  fusedTests();

  it("no kernel was left out", () => {
    expect(definedKernels().filter((name) => !compared.has(name))).toEqual([]);
    expect(definedKernels().length).toBeGreaterThan(90);
  });
});
