import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { isTimeColumn, metricDefinition, metricDefinitions } from "../../src/metrics/table.ts";
import { openMetricsLog } from "../../src/run/metrics.ts";
import { renderMetricsDocument } from "../../tools/documents/metrics.ts";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "rlpt-metrics-"));
  path = join(folder, "metrics.csv");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("metrics.csv", () => {
  test("a row a step, written when it is given; a second stage brings its own columns", () => {
    const log = openMetricsLog(path);
    log.startStage("one", ["reward/mean", "time/step_s"]);
    log.append(1, { "reward/mean": 0.5, "time/step_s": 2 });
    expect(readFileSync(path, "utf8")).toBe("step,stage,reward/mean,time/step_s\n1,one,0.5,2\n");
    log.startStage("two", ["reward/part/format", "time/step_s"]);
    log.append(2, { "reward/part/format": Number.NaN, "time/step_s": null });
    log.close();
    expect(readFileSync(path, "utf8")).toBe(
      "step,stage,reward/mean,time/step_s,reward/part/format\n1,one,0.5,2,\n2,two,,,NaN\n",
    );
  });

  test("resumed: rows behind the checkpoint go, steps go on behind it", () => {
    const log = openMetricsLog(path);
    log.startStage("one", ["accuracy"]);
    for (const step of [1, 2, 3]) log.append(step, { accuracy: step / 4 });
    log.close();
    const resumed = openMetricsLog(path, { rows: 2, step: 2 });
    resumed.startStage("one", ["accuracy"]);
    expect(() => resumed.append(2, { accuracy: 1 })).toThrow("step 2 cannot follow step 2.");
    resumed.append(3, { accuracy: 0.75 });
    resumed.close();
    expect(readFileSync(path, "utf8")).toBe("step,stage,accuracy\n1,one,0.25\n2,one,0.5\n3,one,0.75\n");
  });

  test("refuses what is not defined, not announced, or before a stage", () => {
    const log = openMetricsLog(path);
    expect(() => log.append(1, {})).toThrow("a row before the first stage began");
    expect(() => log.startStage("one", ["reward/maen"])).toThrow(
      "metric reward/maen is not defined; did you mean reward/mean?",
    );
    log.startStage("one", ["accuracy"]);
    expect(() => log.append(1, { "reward/mean": 1 })).toThrow(
      "metric reward/mean was not announced when stage one began.",
    );
    expect(() => log.append(1, { nonsense_without_a_neighbour: 1 })).toThrow(
      "metric nonsense_without_a_neighbour is not defined. Every column",
    );
    log.close();
    expect(readFileSync(path, "utf8")).toBe("step,stage,accuracy\n");
  });
});

describe("metric definitions", () => {
  test("placeholders stand for one part of the name", () => {
    expect(metricDefinition("reward/part/exact-match").name).toBe("reward/part/{part}");
    expect(() => metricDefinition("reward/part/a/b")).toThrow("not defined");
    expect(() => metricDefinition("reward/part/")).toThrow("not defined");
    expect(() => metricDefinition("reward/part/{part}")).toThrow("not defined");
  });

  test("names are unique, every one has unit and formula, and what measures time is named so", () => {
    expect(metricDefinitions.length).toBeGreaterThan(50);
    expect(new Set(metricDefinitions.map(({ name }) => name)).size).toBe(metricDefinitions.length);
    for (const { name, unit, formula } of metricDefinitions) {
      expect(unit, name).not.toBe("");
      expect(formula, name).not.toBe("");
      if (unit === "s" || unit === "tokens/s" || unit === "MB") expect(isTimeColumn(name), name).toBe(true);
    }
  });

  test("docs/metrics.md is what the table says", async () => {
    const text = renderMetricsDocument();
    for (const { name } of metricDefinitions) expect(text).toContain(`| \`${name}\` |`);
    await expect(text).toMatchFileSnapshot("../../docs/metrics.md");
  });
});
