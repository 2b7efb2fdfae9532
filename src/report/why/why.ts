/** `rlpt why`: what became of a run, in sentences with their figures, from its files alone. */
import { printableLine } from "../../lib/printable.ts";
import { WINDOW } from "../../run/alarm-history.ts";
import { type RunFiles, readDamagedRun } from "../read-run.ts";
import { type ListedRun, statusOf } from "../run-list.ts";
import { stepOf } from "../series.ts";
import { causes, type Evidence, learns, solved } from "./causes.ts";
import { type Facts, factsOf } from "./facts.ts";
import { pastAlarms, sections } from "./sections.ts";

export interface Why {
  run: string;
  status: ListedRun["status"];
  /** Last stage, "" without a step. */
  stage: string;
  /** Of the run; `planned` null where the recipe does not say. */
  steps: { done: number; planned: number | null };
  /** "none": no step yet; "early": too few steps to compare; "sick": a cause was found; else "healthy". */
  verdict: "none" | "early" | "sick" | "healthy";
  summary: string;
  /** What to change, the first first. */
  changes: (Evidence & { cause: string; change: string })[];
  sections: { id: string; title: string; sentences: Evidence[] }[];
  /** Files, or parts of them, that could not be used. */
  faults: readonly string[];
}

/**
 * @throws ConfigError when the directory holds no run; what is damaged in one is told and left out
 */
export function explainRun(directory: string): Why {
  const run = readDamagedRun(directory);
  const facts = factsOf(run);
  const early = facts.rows.length < 2 * WINDOW;
  const changes = causes.flatMap((cause) => {
    const evidence = early && cause.compares ? null : cause.test(facts);
    return evidence === null ? [] : [{ cause: cause.name, change: cause.change, ...evidence }];
  });
  const told = sections
    .map(({ id, title, tell }) => ({ id, title, sentences: tell(facts) }))
    .filter(({ sentences }) => sentences.length > 0);
  const past = pastAlarms(facts);
  const verdict =
    facts.rows.length === 0 ? "none" : changes.length > 0 ? "sick" : early ? "early" : "healthy";
  return {
    run: directory,
    status: statusOf(directory, Object.keys(run.recipe).length === 0 ? null : run.recipe),
    stage: facts.stage,
    steps: { done: run.metrics.flatMap((row) => stepOf(row) ?? []).at(-1) ?? 0, planned: planned(run) },
    verdict,
    summary: summary(facts, verdict, changes.length),
    changes,
    sections:
      verdict === "none"
        ? []
        : [
            ...told,
            ...(past.length === 0
              ? []
              : [
                  {
                    id: "alarms",
                    title: "Alarms that are over",
                    sentences: past.map((sentence) => ({ sentence, figures: {} })),
                  },
                ]),
          ],
    faults: run.faults,
  };
}

function planned({ recipe }: RunFiles): number | null {
  const stages = Array.isArray(recipe["stages"]) ? (recipe["stages"] as Record<string, unknown>[]) : [recipe];
  const steps = stages.map((stage) => stage?.["steps"]);
  if (!steps.every((one) => typeof one === "number")) return null;
  return (steps as number[]).reduce((sum, one) => sum + one, 0);
}

function summary(facts: Facts, verdict: Why["verdict"], found: number): string {
  const stage = facts.stage === "" ? "" : ` of stage ${printableLine(facts.stage)}`;
  const steps = `${facts.rows.length} step${facts.rows.length === 1 ? "" : "s"}${stage}`;
  const early = `Only ${steps} ${facts.rows.length === 1 ? "is" : "are"} in metrics.csv: what changes can be told from step ${2 * WINDOW} on.`;
  switch (verdict) {
    case "none":
      return "No step is in metrics.csv: nothing can be said yet.";
    case "early":
      return `It has barely begun, and nothing looks wrong so far. ${early}`;
    case "sick": {
      const things =
        found === 1
          ? "One thing looks wrong."
          : `${found} things look wrong; the first to change stands first.`;
      return facts.rows.length < 2 * WINDOW ? `${things} ${early}` : things;
    }
    case "healthy":
      if (solved(facts)) return "Nothing looks wrong: nearly all training problems are answered right.";
      return learns(facts) ? "Nothing looks wrong: it learns." : "Nothing looks wrong.";
    default: {
      const unreachable: never = verdict;
      throw new Error(String(unreachable));
    }
  }
}
