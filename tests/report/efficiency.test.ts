import { existsSync, writeFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { buildReport } from "../../src/report/build.ts";
import { efficiencyF1, parseEfficiency } from "../../src/report/efficiency.ts";
import { createPlotter } from "../../src/report/plots.ts";
import { writeRun } from "../helpers/run-files.ts";
import { workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

/** AutoThink's table for Distill-1.5B: standard and no-thinking prompt. */
const paper = {
  standard: { accuracy: 48.6, tokens: 10633 },
  direct: { accuracy: 37.5, tokens: 2528 },
};

describe("E-F1", () => {
  it("has the values of the card's vectors", () => {
    expect(100 * efficiencyF1({ accuracy: 51.7, tokens: 5108 }, paper)!).toBeCloseTo(39.62, 2);
    expect(efficiencyF1({ accuracy: 45.6, tokens: 6465 }, paper)).toBe(0);
  });

  it("is 0 unless both sides gain, and nothing where thinking does not pay", () => {
    expect(efficiencyF1({ accuracy: 60, tokens: 10633 }, paper)).toBe(0);
    expect(efficiencyF1({ accuracy: 60, tokens: 20000 }, paper)).toBe(0);
    expect(efficiencyF1({ accuracy: 48.6, tokens: 2528 }, paper)).toBe(0);
    // all of thinking's worth again, and all of its cost saved
    expect(efficiencyF1({ accuracy: 59.7, tokens: 2528 }, paper)).toBeCloseTo(1, 12);
    expect(efficiencyF1(paper.direct, { standard: paper.direct, direct: paper.standard })).toBeNull();
  });
});

const head = "step,stage,dataset,slice,prompts,completions,correct,accuracy,tokens_mean";
const row = (step: number, stage: string, accuracy: number, tokens: number) =>
  `${step},${stage},d,all,100,100,${100 * accuracy},${accuracy},${tokens}\n${step},${stage},d,level=1,9,9,9,1,1`;

describe("from files", () => {
  const csv = (name: string, accuracy: number, tokens: number) =>
    space.write(name, `${head}\n${row(0, "grpo", accuracy, tokens)}\n`);
  const standard = csv("standard.csv", 0.7, 28);
  const direct = csv("direct.csv", 0.4, 4);

  it("a report has it for the start and for each stage's last evaluation", async () => {
    const run = writeRun(space.path("run"), {
      metrics: "step,stage,accuracy\n1,balance,0.5\n2,balance,0.5\n3,length,0.5\n",
      evaluations: `${head}\n${row(0, "balance", 0.5, 16)}\n${row(1, "balance", 0.6, 16)}\n${row(2, "balance", 0.82, 16)}\n${row(3, "length", 0.85, 22)}\n`,
    });
    const document = buildReport([run], await createPlotter(), parseEfficiency(`${standard},${direct}`));
    const block = document.sections.find(({ id }) => id === "efficiency")!.blocks[0]!;
    expect(block.kind === "table" && block.table.rows).toEqual([
      ["base model, standard prompt", "70.0%", "28", ""],
      ["base model, direct answers", "40.0%", "4", ""],
      ["run, step 0", "50.0%", "16", "0.0%"],
      // a = .12 / .3, b = 12 / 24; a = .15 / .3, b = 6 / 24
      ["run, after balance, step 2", "82.0%", "16", "44.4%"],
      ["run, after length, step 3", "85.0%", "22", "33.3%"],
    ]);
    const without = buildReport([run], await createPlotter());
    expect(without.sections.map(({ id }) => id)).not.toContain("efficiency");
  });

  it("says what is wrong with them", () => {
    expect(() => parseEfficiency(standard)).toThrow("give two evaluations of the base model");
    const none = space.path("none.csv");
    expect(existsSync(none)).toBe(false);
    expect(() => parseEfficiency(`${standard},${none}`)).toThrow(`${none}: does not exist`);
    expect(() => parseEfficiency(`${direct},${standard}`)).toThrow(
      /thinks to its advantage.*40.0% in 4.0 tokens.*70.0% in 28.0/,
    );
    writeFileSync(none, "step,slice\n0,all\n");
    expect(() => parseEfficiency(`${none},${direct}`)).toThrow("no evaluation with accuracy");
  });
});
