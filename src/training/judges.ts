/** Who answers the questions of judges: an endpoint, or a model of one's own run by this process's engine. */
import { readFileSync } from "node:fs";
import type { Recipe } from "../config/schema.ts";
import { chatUrl, complete, RefusedError, retrying } from "../lib/chat-endpoint.ts";
import { ConfigError, describeSystemError, RewardError, RlptError } from "../lib/errors.ts";
import { createRng } from "../lib/rng.ts";
import { openModel } from "../policy/files/model-directory.ts";
import { createPolicy, type DecoderPolicy } from "../policy/policy.ts";
import {
  agreementOf,
  describeAgreement,
  type JudgeAgreement,
  readLabelled,
} from "../rewards/judge/agreement.ts";
import type { JudgeReply, JudgeServices } from "../rewards/judge/ask.ts";
import type { JudgeSpec } from "../rewards/judge/options.ts";
import { partName, type RewardSpec } from "../rewards/options.ts";
import { encodePrompt } from "../rollouts/encode.ts";
import { type EncodedPrompt, generate } from "../rollouts/generate.ts";
import { openVerdicts, type VerdictLog } from "../run/verdict-log.ts";
import type { ChatMessage, Tokenizer } from "../types.ts";

export interface Judges extends JudgeServices {
  verdicts: VerdictLog;
  /** Frees local models. */
  close(): void;
}

type JudgePart = Extract<RewardSpec, { kind: "judge" }>;

/** The judges of a recipe's stages, each part once. */
export function judgeParts(stages: readonly { recipe: Pick<Recipe, "rewards"> }[]): JudgePart[] {
  const parts = stages.flatMap(({ recipe }) =>
    recipe.rewards.filter((part): part is JudgePart => part.kind === "judge"),
  );
  const known = new Set<string>();
  return parts.filter((part) => {
    const key = JSON.stringify(part);
    return !known.has(key) && known.add(key);
  });
}

/**
 * @param from verdicts to begin with, a file; null: none
 * @param note told of lines of it that are none
 */
export function openJudges(from: string | null, note: (text: string) => void): Judges {
  const locals = new Map<string, Promise<{ policy: DecoderPolicy; tokenizer: Tokenizer }>>();
  const open: DecoderPolicy[] = [];
  const local = (path: string) => {
    const known = locals.get(path) ?? openLocal(path, open, note);
    locals.set(path, known);
    return known;
  };
  return {
    verdicts: openVerdicts(from, note),
    async ask(spec, questions, take, told) {
      if (spec.judge.path === undefined) return askEndpoint(spec, questions, take, told);
      const { policy, tokenizer } = await local(spec.judge.path);
      return askLocal(spec, { policy, tokenizer }, questions, take, told);
    },
    close() {
      for (const policy of open.splice(0)) policy.dispose();
      locals.clear();
    },
  };
}

async function openLocal(path: string, open: DecoderPolicy[], note: (text: string) => void) {
  const files = await openModel(path);
  for (const warning of files.warnings) note(warning);
  if (!files.tokenizer.hasChatTemplate)
    throw new ConfigError(
      `${path}: a judge needs a model with a chat template; name an instruction-tuned one`,
    );
  const policy = createPolicy(files, { trainable: "none" });
  files.weights.close();
  open.push(policy);
  return { policy, tokenizer: files.tokenizer };
}

/** The endpoint's key, from the environment alone. @throws ConfigError when the variable is empty */
function keyOf({ judge: { key_variable } }: JudgeSpec): string | undefined {
  if (key_variable === undefined) return undefined;
  const key = process.env[key_variable];
  if (key === undefined || key === "")
    throw new ConfigError(`judge.key_variable: the environment variable ${key_variable} is not set`);
  return key;
}

async function askEndpoint(
  spec: JudgeSpec,
  questions: readonly (readonly ChatMessage[])[],
  take: () => void,
  told: (index: number, reply: JudgeReply) => void,
): Promise<void> {
  const { judge, limits } = spec;
  const endpoint = judge.endpoint!;
  const apiKey = keyOf(spec);
  const { model, temperature, max_tokens } = judge;
  let next = 0;
  let failure: unknown = null;
  const work = async (): Promise<void> => {
    while (failure === null && next < questions.length) {
      const index = next++;
      const body = { model, messages: questions[index], temperature, max_tokens };
      const once = () => {
        take();
        return complete({ endpoint, body, apiKey, timeoutMs: 1000 * limits.timeout_s });
      };
      try {
        const where = `judge ${chatUrl(endpoint)}`;
        const said = await retrying(once, { retries: limits.retries, retryMs: limits.retry_ms, where });
        told(index, { kind: "said", ...said });
      } catch (error) {
        if (error instanceof RefusedError) told(index, { kind: "refused", reason: error.message });
        else failure ??= error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limits.concurrency, questions.length) }, work));
  if (failure === null) return;
  if (failure instanceof RewardError || failure instanceof ConfigError) throw failure;
  const reason = failure instanceof Error ? failure.message : String(failure);
  throw new RewardError(
    `${reason}\nEvery verdict up to here is kept; rlpt train --resume RUN goes on from the newest checkpoint and asks none of these again.`,
    { cause: failure },
  );
}

async function askLocal(
  { judge, limits }: JudgeSpec,
  { policy, tokenizer }: { policy: DecoderPolicy; tokenizer: Tokenizer },
  questions: readonly (readonly ChatMessage[])[],
  take: () => void,
  told: (index: number, reply: JudgeReply) => void,
): Promise<void> {
  const most = policy.config.maxPositions - judge.max_tokens;
  const rows: { index: number; encoded: EncodedPrompt }[] = [];
  for (const [index, messages] of questions.entries()) {
    const prompt = promptOf(index, messages);
    try {
      rows.push({ index, encoded: { prompt, ...encodePrompt(tokenizer, prompt, most) } });
    } catch (error) {
      if (!(error instanceof RlptError)) throw error;
      told(index, { kind: "refused", reason: error.message });
    }
  }
  for (let start = 0; start < rows.length; start += limits.concurrency) {
    const chunk = rows.slice(start, start + limits.concurrency);
    for (const _ of chunk) take();
    const groups = await generate(
      policy,
      tokenizer,
      chunk.map(({ encoded }) => encoded),
      {
        temperature: 0,
        top_p: 1,
        top_k: 0,
        min_p: 0,
        stop: [],
        groupSize: 1,
        maxNewTokens: judge.max_tokens,
        batchRows: limits.concurrency,
      },
      createRng(0).fork("judge"),
    );
    for (const [i, { promptTokens, completions }] of groups.entries()) {
      const { text, tokens } = completions[0]!;
      told(chunk[i]!.index, { kind: "said", text, tokens: promptTokens.length + tokens.length });
    }
  }
}

const promptOf = (index: number, messages: readonly ChatMessage[]) => ({
  id: `judge ${index}`,
  input: { kind: "chat" as const, messages },
  answer: "",
  slices: {},
  fields: {},
});

/** The labelled rows of a part. @throws ConfigError naming the lines that are none */
export function labelledRows({ labelled, ...spec }: JudgePart): ReturnType<typeof readLabelled>["rows"] {
  let text: string;
  try {
    text = readFileSync(labelled!, "utf8");
  } catch (error) {
    throw new ConfigError(`${labelled}: ${describeSystemError(error)}`, { cause: error });
  }
  const { rows, faults } = readLabelled(spec, text);
  if (faults.length === 0) return rows;
  const more = faults.length > 5 ? `; and ${faults.length - 5} more` : "";
  throw new ConfigError(`${labelled}: ${faults.slice(0, 5).join("; ")}${more}`);
}

/** Asks each judge with labelled rows about them. @returns in the parts' order; nothing where none has any */
export async function judgeAgreements(
  parts: readonly JudgePart[],
  judges: JudgeServices,
): Promise<{ part: JudgePart; agreement: JudgeAgreement }[]> {
  const all = [];
  for (const part of parts.filter(({ labelled }) => labelled !== undefined))
    all.push({ part, agreement: await agreementOf(partName(part), part, labelledRows(part), judges) });
  return all;
}

/** Says how far the judges agree with people. @throws RewardError for one below its min_agreement */
export async function checkAgreement(
  parts: readonly JudgePart[],
  judges: JudgeServices,
  note: (text: string) => void,
): Promise<void> {
  for (const { part, agreement } of await judgeAgreements(parts, judges)) {
    for (const line of describeAgreement(agreement)) note(line);
    const share = agreement.all.agree / agreement.all.rows;
    if (part.min_agreement === undefined || share >= part.min_agreement) continue;
    throw new RewardError(
      `${describeAgreement(agreement).join("\n")}\nThat is below min_agreement = ${part.min_agreement}: the run does not begin. Mend rubric or instructions (rlpt reward agree CONFIG asks again), take another judge, or lower it.`,
    );
  }
}
