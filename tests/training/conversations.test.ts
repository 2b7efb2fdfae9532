/** Supervised training and rewards on conversations, with a chat template of one's own. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { rowsWithoutTime, runTraining, tinyModel, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(() => space.remove());

const marked =
  "{{ '<bos>' }}{% for message in messages %}{% if message.role == 'assistant' %}{% generation %}{{ message.content }}<eos>{% endgeneration %}{% else %}{{ message.content }}{% endif %}{% endfor %}{{ suffix }}";
space.write("marked.jinja", marked);
space.write("plain.jinja", marked.replace(/\{% (end)?generation %\}/g, ""));
space.write("no-system.jinja", marked.replace("{% else %}", "{% elif message.role == 'user' %}"));

const rows = Array.from({ length: 12 }, (_, i) => [i % 10, Math.floor(i / 3)] as const);
const turn = (role: string, content: string) => ({ role, content });
const lines = (objects: object[]) => objects.map((one) => `${JSON.stringify(one)}\n`).join("");
space.write(
  "chat.jsonl",
  lines(
    rows.map(([a, b], id) => ({
      id,
      messages: [
        turn("user", `${a}+1=`),
        turn("assistant", "2"),
        turn("user", `${b}+${a}=`),
        turn("assistant", String((a + b) % 10)),
      ],
    })),
  ),
);
// the same tokens, written as a prompt and its target
space.write(
  "text.jsonl",
  lines(rows.map(([a, b], id) => ({ id, prompt: `${a}+1=2<eos>${b}+${a}=`, target: String((a + b) % 10) }))),
);

space.write("first.jsonl", lines(rows.map(([a], id) => ({ id, prompt: `${a}+1=`, target: "2" }))));

const sft = (name: string, train: string, model = "", algorithm = "rows_per_step: 4") =>
  space.write(
    name,
    `seed: 3
steps: 4
model: ${tinyModel}${model}
data:
  train: ${train}
algorithm: { kind: sft, ${algorithm} }
optimizer: { lr: 0.01 }
run: { checkpoint_every: 2, keep_last: 9 }
`,
  );
const metricsOf = (run: string) => rowsWithoutTime(join(space.path(run), "metrics.csv"));
const chat = (learn: string) => `{ path: chat.jsonl, id: id, messages: { learn: ${learn} } }`;

it("the last turn is learnt as a target behind the same tokens is", { timeout: 120_000 }, async () => {
  const text = '{ path: text.jsonl, id: id, chat: false, answer: null, target: "{target}" }';
  await runTraining(sft("text.yaml", text), { runDir: space.path("text") });
  for (const template of ["marked", "plain"]) {
    const file = sft(`${template}.yaml`, chat("last"), `  chat_template: ${template}.jinja\n`);
    await runTraining(file, { runDir: space.path(template) });
    expect(metricsOf(template)).toEqual(metricsOf("text"));
  }
});

it("all turns are learnt, packed too, and a stopped run goes on exactly", { timeout: 120_000 }, async () => {
  const model = "  chat_template: marked.jinja\n";
  await runTraining(sft("all.yaml", chat("all"), model), { runDir: space.path("all") });
  // two digits and two ends in each of four rows
  expect(metricsOf("all").map((row) => row["sft/tokens"])).toEqual(["16", "16", "16", "16"]);
  // the loss is the mean over both turns, and what is said between them carries none
  const target = '{ path: first.jsonl, id: id, chat: false, answer: null, target: "{target}" }';
  await runTraining(sft("first.yaml", target), { runDir: space.path("first"), set: ["steps=1"] });
  const lossOf = (run: string) => Number(metricsOf(run)[0]!["sft/loss"]);
  expect(lossOf("all")).toBeCloseTo((lossOf("first") + lossOf("text")) / 2, 5);
  const packed = sft("packed.yaml", chat("all"), model, "rows_per_step: 2, packing: true, row_length: 32");
  await runTraining(packed, { runDir: space.path("packed") });
  await runTraining(packed, { runDir: space.path("stopped"), set: ["steps=2"] });
  await runTraining(undefined, { resume: space.path("stopped"), steps: "4" });
  expect(metricsOf("stopped")).toEqual(metricsOf("packed"));
  const saved = join(space.path("all"), "checkpoints/000004/model/chat_template.jinja");
  expect(readFileSync(saved, "utf8")).toBe(marked);
});

it("what a template drops, and rows that are too long, are said with their lines before a run directory exists", async () => {
  space.write(
    "system.jsonl",
    lines([{ messages: [turn("system", "1"), turn("user", "1+1="), turn("assistant", "2")] }]),
  );
  const dropped = sft(
    "dropped.yaml",
    "{ path: system.jsonl, messages: { learn: all } }",
    "  chat_template: no-system.jinja\n",
  );
  await expect(runTraining(dropped, { runDir: space.path("none") })).rejects.toThrow(
    /system\.jsonl:1 {2}data\.train: this row cannot be encoded: the chat template drops turn 1 \(system\)/,
  );
  const long = sft(
    "long.yaml",
    chat("all"),
    "  chat_template: marked.jinja\n",
    "rows_per_step: 4, packing: true, row_length: 12",
  );
  await expect(runTraining(long, { runDir: space.path("none") })).rejects.toThrow(
    /chat\.jsonl:1 {2}data\.train: this row has 13 tokens with its target, the limit is 12;/,
  );
});

it("chat_template_kwargs reach the template", async () => {
  const model = "  chat_template: marked.jinja\n  chat_template_kwargs: { suffix: '@' }\n";
  await expect(
    runTraining(sft("kwargs.yaml", chat("all"), model), { runDir: space.path("none") }),
  ).rejects.toThrow(/chat\.jsonl:1 .*has no token for "@"/);
});
