/** Folders as a stranger may hand them over: every field of every file that a report reads can hold anything. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writePng } from "../../src/pictures/write-png.ts";

export const hostileTexts: readonly string[] = [
  `<script>globalThis.__ran=1</script>`,
  `"><img src=x onerror="globalThis.__ran=2">`,
  `' onmouseover='globalThis.__ran=3' x='`,
  `</pre></style></script></svg><svg onload=globalThis.__ran=4>`,
  `<title></title><iframe srcdoc="<script>parent.__ran=5</script>">`,
  `--><a href="javascript:globalThis.__ran=6">x</a><!--`,
  `&lt;script&gt;globalThis.__ran=7&lt;/script&gt;`,
  `]]><style>*{background:url(http://example.invalid)}</style>`,
  `=HYPERLINK("http://example.invalid";"x")`,
  `+1+cmd|' /C calc'!A0`,
  `-2+3+cmd`,
  `@SUM(1)`,
  "\t=1+1",
  "\u001b]0;title\u0007\u001b[2J\u001b[31m",
  "\u009b31m\u0000\u0008\u007f",
  "\u202egnp.exe\u2066",
  "line\r\nline\rline\u2028line",
  "```\n# heading\n| a | b |\n[x](javascript:alert(1))",
  "__proto__",
  "constructor",
  "../../../../etc/passwd",
  "",
  "NaN",
  "Infinity",
  "-1e308",
  "1e999",
  "0x10",
];

/** What a field of a JSON file may hold instead of what belongs there. */
export const hostileValues: readonly unknown[] = [
  ...hostileTexts,
  null,
  true,
  -1,
  1e308,
  [],
  {},
  ["<b>"],
  { "<i>": "<u>" },
  JSON.parse('{"__proto__":{"kind":"<b>"}}'),
];

/** Picks what stands in a field: what belongs there, or something else. */
export interface Pick {
  text(field: string, honest: string): string;
  value(field: string, honest: unknown): unknown;
}

const csv = (pick: Pick, file: string, columns: readonly string[], rows: readonly (readonly string[])[]) => {
  const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
  const line = (cells: readonly string[]) => `${cells.map(quoted).join(",")}\n`;
  return (
    line(columns.map((name) => pick.text(`${file} heading ${name}`, name))) +
    rows.map((row) => line(row.map((cell, i) => pick.text(`${file} ${columns[i]}`, cell)))).join("")
  );
};

/** Every value inside of a JSON value, keys as they are. */
function mutated(pick: Pick, path: string, value: unknown): unknown {
  const chosen = pick.value(path, value);
  if (chosen !== value || typeof value !== "object" || value === null) return chosen;
  if (Array.isArray(value)) return value.map((one, i) => mutated(pick, `${path}.${i}`, one));
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [
      pick.text(`${path} key ${key}`, key),
      mutated(pick, `${path}.${key}`, one),
    ]),
  );
}

const metricColumns =
  "step,stage,reward/mean,reward/part/exact,alarms,alarm/mode_collapse,group/all_wrong,group/all_right,time/step_s";
const evaluationColumns =
  "step,stage,dataset,slice,prompts,completions,correct,accuracy,accuracy_low,accuracy_high,interval,reward_mean,tokens_mean,thinking,truncated,unparsed,contradiction";
const promptColumns =
  "step,stage,dataset,prompt_id,slices,completions,correct,thinking,tokens_mean,reward_mean,answer,given";
const row = (text: string) => text.split(",");

const redPng = Buffer.from(
  writePng({ width: 2, height: 2, data: Uint8Array.from({ length: 12 }, (_, i) => (i % 3 === 0 ? 255 : 0)) }),
).toString("base64");

/** A run, of which `pick` chooses every cell and every value. */
export function writeHostileRun(directory: string, pick: Pick): string {
  mkdirSync(directory, { recursive: true });
  const write = (name: string, text: string) => writeFileSync(join(directory, name), text);
  const json = (name: string, value: unknown) => JSON.stringify(mutated(pick, name, value));
  write(
    "recipe.yaml",
    json("recipe.yaml", {
      seed: 1,
      run: { name: "trial" },
      model: { path: "models/lab" },
      data: { train: { kind: "items", dataset: 1 }, eval: { kind: "items", mode: "direct" } },
      optimizer: { lr: 0.1, groups: [{ name: "a" }] },
    }),
  );
  write(
    "provenance.json",
    json("provenance.json", {
      model: "models/lab",
      backend: { kind: "wasm" },
      command: ["node", "train", "x.yaml"],
      git: { commit: "abc", dirty: false },
      resumes: [{ time: "now", from_step: 1 }],
    }),
  );
  write(
    "metrics.csv",
    csv(
      pick,
      "metrics.csv",
      row(metricColumns),
      Array.from({ length: 40 }, (_, i) => row(`${i + 1},${i < 20 ? "a" : "b"},0.5,0.5,1,1,0.4,0.2,1.5`)),
    ),
  );
  write(
    "eval.csv",
    csv(pick, "eval.csv", row(evaluationColumns), [
      row("0,a,d,all,9,9,4,0.4,0.2,0.6,gaffke,0.4,12,0.5,0,0,0.1"),
      row("0,a,d,level=1,9,9,4,0.4,0.2,0.6,gaffke,0.4,12,0.5,0,0,0.1"),
      row("0,a,d,split=base,9,9,4,0.4,0.2,0.6,gaffke,0.4,12,0.5,0,0,"),
      row("0,a,d,split=new,9,9,4,0.4,0.2,0.6,gaffke,0.4,12,0.5,0,0,"),
      row("40,b,d,all,9,9,8,0.9,0.7,0.95,gaffke,0.9,10,0.2,0,0,0.1"),
      row("40,b,d,level=1,9,9,8,0.9,0.7,0.95,gaffke,0.9,10,0.2,0,0,0.1"),
      row("40,b,d,split=base,9,9,8,0.9,0.7,0.95,gaffke,0.9,10,0.2,0,0,"),
      row("40,b,d,split=new,9,9,8,0.9,0.7,0.95,gaffke,0.9,10,0.2,0,0,"),
      row("40,b,d,dataset=D2,9,9,8,0.9,0.7,0.95,gaffke,0.9,10,0.2,0,0,"),
    ]),
  );
  write(
    "eval-prompts.csv",
    csv(
      pick,
      "eval-prompts.csv",
      row(promptColumns),
      Array.from({ length: 20 }, (_, i) => [
        ...row(`40,b,d,p${i},level=1;kind=x,1,${i % 2},1,10,0.5,${i % 3 ? "cat" : "dog"}`),
        i % 5 ? '["cat"]' : '["dog"]',
      ]),
    ),
  );
  const sample = {
    step: 1,
    stage: "a",
    prompt_id: "p1",
    sample_index: 0,
    prompt: "1+1=",
    pictures: ["red"],
    answer: "2",
    completion: "2",
    tokens: 2,
    finish_reason: "eos",
    reward: 1,
    status: "ok",
    correct: true,
    parts: {
      iou: { value: 1, status: "ok", boxes: { gold: [[0, 0, 4, 4]], given: [[1, 1, 5, 5]], of: [8, 8] } },
    },
  };
  const lines = Array.from({ length: 8 }, (_, i) =>
    json("samples.jsonl", {
      ...sample,
      sample_index: i,
      correct: i % 2 === 0,
      status: i === 5 ? "unparsed" : "ok",
    }),
  );
  write("samples.jsonl", lines.map((line) => `${line}\n`).join(""));
  const picture = { id: "red", name: "a red picture", width: 2, height: 2, step: 1, png: redPng };
  write("thumbnails.jsonl", `${json("thumbnails.jsonl", picture)}\n`);
  const stages = [{ steps: 40, steps_s: 60, live: 20 }];
  const disk = { checkpoints_bytes: 100, rest_bytes: 10 };
  write("usage.json", json("usage.json", { total_s: 70, cpu_s: 100, peak_rss_bytes: 1e6, disk, stages }));
  write(
    "plan.json",
    json("plan.json", {
      total_s: 70,
      cpu_s: 100,
      memory: { peak_bytes: 1e6 },
      disk,
      stages: [{ ...stages[0], update: { all_s: 3, basis: "probe" } }],
    }),
  );
  return directory;
}

/** A selection, a sweep, an experiment and a claim below one folder. @returns their paths */
export function writeHostileCollections(root: string, pick: Pick): string[] {
  const folder = (name: string, files: Record<string, string>) => {
    mkdirSync(join(root, name), { recursive: true });
    for (const [file, text] of Object.entries(files)) writeFileSync(join(root, name, file), text);
    return join(root, name);
  };
  const json = (name: string, value: unknown) => JSON.stringify(mutated(pick, name, value));
  return [
    folder("selection", {
      "selection.json": json("selection.json", {
        pool: 3,
        selected: 1,
        without_score: 1,
        slices: { "level=1": { pool: 3, selected: 1 } },
      }),
      "scores.csv": csv(pick, "scores.csv", row("id,score,selected,epochs_seen,epoch_0,epoch_1"), [
        row("a,0.8,1,2,0.5,0.75"),
        row("b,-1,0,2,0,0"),
        row("c,,0,2,0,0.1"),
      ]),
    }),
    folder("sweep", {
      "pareto.csv": csv(
        pick,
        "pareto.csv",
        row("point,seed,when,alpha,step,score,trigger,tokens,precision,recall,f1,dominated,hypervolume"),
        [row("p1,1,end,0.1,9,0.9,0.8,20,,,,false,0.5"), row("p2,1,end,x,9,0.6,0.4,12,,,0.5,false,0.5")],
      ),
    }),
    folder("experiment", {
      "results.csv": csv(pick, "results.csv", row("arm,draw,seed,step,accuracy,tokens_mean"), [
        row("all,0,1,2,0.5,10"),
        row("selected,0,1,2,0.8,11"),
      ]),
      "differences.csv": csv(pick, "differences.csv", row("first,second,seeds,mean,low,high"), [
        row("selected,all,2,0.25,-0.4,0.9"),
      ]),
    }),
    folder("claim", {
      "verdict.json": json("verdict.json", {
        claim: "c",
        title: "t",
        statement: "s",
        verdict: "SUPPORTED",
        reason: "r",
        rule: "u",
        conditions: [
          {
            say: "x",
            metric: "tokens",
            slice: "level=1",
            direction: "below",
            margin: 0,
            minus: "y",
            effect: -3,
            low: -5,
            high: -2,
            first: 1,
            second: 2,
            outcome: "holds",
            p_holds: 0.01,
            by_seed: [{ seed: 1, effect: -3 }],
          },
        ],
        runs: [{ arm: "a", seed: 1, directory: "x" }],
      }),
    }),
  ];
}
