/** Rules about prompts and where they come from. */
import { isDeepStrictEqual } from "node:util";
import { algorithmOf } from "../algorithms/kinds.ts";
import { unknownColumn } from "../data/classification-options.ts";
import {
  askingSets,
  datasetKindOf,
  fileSets,
  isPictures,
  leafSets,
  type PicturesOptions,
  type PlacedSet,
} from "../data/dataset-options.ts";
import { answerColumnShown, dataPaths, type FileOptions, isHubPath } from "../data/file-options.ts";
import type { RuleContext } from "../lib/rules.ts";
import { dotted } from "./faults.ts";
import { composeTemplate } from "./prompt.ts";
import type { Rule } from "./rules.ts";
import type { RecipeInput } from "./schema.ts";

type Parts = [string, NonNullable<RecipeInput["data"]["eval"]>][];

function parts(data: RecipeInput["data"]): Parts {
  const all: Parts = [["data.train", data.train]];
  if (data.eval !== undefined) all.push(["data.eval", data.eval]);
  return all;
}

const chainLevels: Rule = ({ data }, { report }) => {
  if (!data) return;
  for (const [at, set] of parts(data)) {
    if (set.kind !== "chain") continue;
    const { levels, level_weights: weights } = set;
    if (weights !== undefined && weights.length !== levels.length) {
      const reason = `there are ${weights.length} weights for ${levels.length} levels`;
      report({
        rule: "level_weights",
        path: `${at}.level_weights`,
        uses: [`${at}.levels`],
        reason,
        fix: "give one for each",
      });
    } else if (weights?.every((weight) => weight === 0)) {
      const reason = "all are 0, so no problem can be drawn";
      report({ rule: "level_weights", path: `${at}.level_weights`, reason, fix: "give one level a weight" });
    }
    if (set.pool !== undefined) {
      const untouched = levels.join() === "1,2,3,4,5" && weights === undefined;
      const fault = (path: string, reason: string, fix: string) =>
        report({ rule: "chain_pool", path: `${at}.${path}`, uses: [`${at}.pool`], reason, fix });
      if (!untouched) fault("levels", "a pool's kinds have levels of their own", "remove levels, or pool");
      if (set.size === undefined)
        fault("size", "a pool has exact shares of a size", "give size, such as 256");
    }
    if (set.prompt !== "mixed" && set.plain_share !== 0.5) {
      const reason = `it counts only when prompt is mixed, and it is ${set.prompt}`;
      report({
        rule: "plain_share",
        path: `${at}.plain_share`,
        uses: [`${at}.prompt`],
        reason,
        fix: "use prompt: mixed, or remove it",
      });
    }
  }
};

/** The laboratory's tasks with uses: what is trained on is not what is tested, and an evaluation has an end. */
const separateUses: Rule = ({ data }, { report }) => {
  if (data === undefined) return;
  for (const { part, at, set } of leafSets(data)) {
    if (set.kind !== "items" && set.kind !== "pictures" && set.kind !== "scenes") continue;
    const path = `${dotted(at)}.use`;
    const rule = `${set.kind}_use`;
    if (part === "train" && set.use === "test") {
      const reason = "training on the test items would make the evaluation a memory test";
      const fix = `use ${set.kind === "scenes" ? "train" : "few_shot"} or pretraining`;
      report({ rule, path, reason, fix });
    }
    // a mixture has an end of its own
    if (set === data.eval && (set.use === "pretraining" || set.use === "train")) {
      const wrong = set.use === "train" ? "" : ", and its direct targets are wrong on purpose";
      const what = set.kind === "scenes" ? "stream" : "mixture";
      report({ rule, path, reason: `the ${what} is endless${wrong}`, fix: "use test" });
    }
  }
};

/** Fashion-MNIST does not come with rlpt. */
const fashionFolder: Rule = ({ data }, { report }) => {
  for (const { at, set } of leafSets(data)) {
    if (set.kind !== "pictures" || set.use === "pretraining") continue;
    if (set.dataset !== 2 || set.fashion !== undefined) continue;
    report({
      rule: "fashion",
      path: `${dotted(at)}.dataset`,
      uses: [`${dotted(at)}.fashion`],
      reason: "it is Fashion-MNIST, which does not come with rlpt",
      fix: "set fashion to the folder with its four files, such as /usr/share/datasets/fashion-mnist of Debian's package dataset-fashion-mnist",
    });
  }
};

/** A pool smaller than a step would hold a prompt twice, and both would sample the same completions. */
const enoughPrompts: Rule = ({ data, rollout, algorithm }, { report }) => {
  if (!data || !algorithm) return;
  const needed = algorithmOf(algorithm).samples ? rollout?.prompts_per_step : undefined;
  if (needed === undefined) return;
  const { key, size } = datasetKindOf(data.train).pool(data.train);
  if (size === undefined || size >= needed) return;
  report({
    rule: "pool_size",
    path: `data.train.${key}`,
    uses: ["rollout.prompts_per_step"],
    reason: `a step draws ${needed} different prompts (rollout.prompts_per_step)`,
    fix: `use ${needed} or more, or fewer prompts a step`,
  });
};

/** What a row's id follows from: the column, or else all the others. */
const ID_KEYS = ["id", "prompt", "answer", "answer_pattern", "target", "pair"] as const;

/** Problems in both parts would make evaluation a memory test. */
const separateParts: Rule = ({ data }, { report }) => {
  const sets = fileSets(data);
  for (const evaluation of sets.filter(({ part }) => part === "eval"))
    for (const train of sets.filter(({ part }) => part === "train")) separate(train, evaluation, report);
};

function separate(
  { at: from, set: train }: PlacedSet<FileOptions>,
  { at: to, set: evaluation }: PlacedSet<FileOptions>,
  report: RuleContext["report"],
): void {
  const shared = dataPaths(evaluation).filter((path) => dataPaths(train).includes(path));
  if (shared.length === 0) return;
  // other splits of a dataset on the Hub are other rows
  const part = ({ hub }: FileOptions) => JSON.stringify([hub?.config, hub?.split ?? "train"]);
  if (shared.every(isHubPath) && part(train) !== part(evaluation)) return;
  const [there, here] = [dotted(from), dotted(to)];
  const uses = [`${there}.path`, `${there}.split`, `${here}.split`];
  if (!train.split || !evaluation.split || train.split.part === evaluation.split.part) {
    const reason = `it is the file of ${there}, and the two share problems`;
    const fix = "add split: {part: train} there and split: {part: eval} here, or use another file";
    report({ rule: "same_data", path: `${here}.path`, uses, reason, fix });
    return;
  }
  for (const key of ["eval_share", "salt"] as const) {
    if (train.split[key] === evaluation.split[key]) continue;
    const reason = `${there}.split.${key} is ${JSON.stringify(train.split[key])}, so the two parts overlap`;
    report({
      rule: "same_data",
      path: `${here}.split.${key}`,
      uses,
      reason,
      fix: "use the same value in both",
    });
  }
  // a row's part follows from its id, and without a column for it the id is made of what the row says
  const keys = train.id !== undefined || evaluation.id !== undefined ? ID_KEYS.slice(0, 1) : ID_KEYS;
  for (const key of keys) {
    if (isDeepStrictEqual(train[key], evaluation[key])) continue;
    report({
      rule: "same_data",
      path: `${here}.${key}`,
      uses,
      reason: `${there}.${key} is another, which makes other ids of the same rows, so the two parts overlap`,
      fix:
        key === "id" ? "use the same column in both" : "use the same in both, or name an id column in both",
    });
  }
}

/** An evaluation has an end. */
const mixtureEnds: Rule = ({ data }, { report }) => {
  const set = data?.eval;
  if (set?.kind !== "mixture" || set.size !== undefined || set.sources[0]!.weight === undefined) return;
  const reason = "with weights it has no end, and an evaluation reads all of it";
  const fix = "remove the weights, or give size";
  report({ rule: "mixture_eval", path: "data.eval.sources", uses: ["data.eval.size"], reason, fix });
};

/** A column of the shared template that pictures lack. */
const sharedColumn = (template: string) => unknownColumn(composeTemplate(template, ""));

/** Pictures that are trained on are not tested. */
const separatePictures: Rule = ({ data }, { report }) => {
  const sets = leafSets(data).flatMap(({ set, ...place }) => (isPictures(set) ? [{ ...place, set }] : []));
  for (const { at: to, set: evaluation } of sets.filter(({ part }) => part === "eval"))
    for (const { at: from, set: train } of sets.filter(({ part }) => part === "train")) {
      if (!sharePictures(train, evaluation)) continue;
      const [there, here] = [dotted(from), dotted(to)];
      report({
        rule: "same_data",
        path: here,
        uses: [there],
        reason: `it has pictures of ${there}, and evaluation would be a memory test`,
        fix:
          train.kind === "coop"
            ? "use another part, or the other half"
            : "use another folder, the other half, or split: {part: train} there and split: {part: eval} here with the same eval_share and salt",
      });
    }
};

function sharePictures(train: PicturesOptions, evaluation: PicturesOptions): boolean {
  const halves = [train.half, evaluation.half];
  if (train.path !== evaluation.path || (halves.includes("base") && halves.includes("new"))) return false;
  if (train.kind === "coop" && evaluation.kind === "coop") {
    const part = train.part ?? "train";
    return train.dataset === evaluation.dataset && part === (evaluation.part ?? "test");
  }
  if (train.kind === "coop" || evaluation.kind === "coop") return false;
  const [one, other] = [train.split, evaluation.split];
  if (one === undefined || other === undefined || one.part === other.part) return true;
  return one.eval_share !== other.eval_share || one.salt !== other.salt;
}

const sharedPrompt: Rule = ({ prompt, data }, { report }) => {
  if (!prompt) return;
  if (prompt.template !== undefined && !/(?<!\{)\{prompt\}/.test(prompt.template)) {
    const reason = "the dataset's prompt would appear nowhere";
    report({ rule: "template", path: "prompt.template", reason, fix: "put {prompt} where it belongs" });
  }
  if (!data) return;
  const asking = askingSets(data).map(({ at, set }) => [dotted(at), set] as const);
  if (asking.length === 0) {
    const reason = "prompts of the chain task are fed as they are";
    report({ rule: "prompt_unused", path: "prompt", uses: ["data"], reason, fix: "remove it" });
  }
  const pictures = asking.find(([, set]) => set.kind !== "file")?.[0];
  const unknown =
    pictures === undefined || prompt.template === undefined ? null : sharedColumn(prompt.template);
  if (unknown !== null) {
    const reason = `{${unknown}} is no column of labelled pictures (${pictures})`;
    const fix = "use {prompt}, {question} and {choices}, and {{ }} for braces";
    report({ rule: "template", path: "prompt.template", uses: ["data"], reason, fix });
  }
  for (const [at, set] of asking) {
    if (prompt.system === undefined || set.chat || set.system !== undefined) continue;
    const reason = `${at} has chat: false, and only a chat template has a place for a system message`;
    const fix = "set chat: true, or write the text into prompt.template";
    report({ rule: "system_chat", path: "prompt.system", uses: [at, "prompt.chat"], reason, fix });
  }
};

/** `\boxed{answer}` in an instruction reads the column of that name. */
const goldAnswer: Rule = ({ prompt, data }, { report }) => {
  if (!data) return;
  for (const { at: path, set } of fileSets(data)) {
    if (set.answer_in_prompt) continue;
    const at = dotted(path);
    const shared = prompt?.template;
    const column = answerColumnShown(
      shared === undefined ? set.prompt : composeTemplate(shared, set.prompt),
      set,
    );
    if (column === null) continue;
    const inShared = shared !== undefined && answerColumnShown(shared, set) !== null;
    report({
      rule: "gold_in_prompt",
      path: inShared ? "prompt.template" : `${at}.prompt`,
      uses: [`${at}.answer`],
      reason: `{${column}} is read by ${at}.answer too, so every prompt would show its gold answer`,
      fix: `write {{${column}}} for braces that are meant as braces, as in \\boxed{{${column}}}, or set ${at}.answer_in_prompt: true if that is the task`,
    });
  }
};

export const dataRules: readonly Rule[] = [
  chainLevels,
  separateUses,
  fashionFolder,
  enoughPrompts,
  separateParts,
  separatePictures,
  mixtureEnds,
  sharedPrompt,
  goldAnswer,
];
