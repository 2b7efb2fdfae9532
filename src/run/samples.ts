import { sampledCount } from "../lib/sampled.ts";
import { picturesOf } from "../pictures/shown.ts";
import type {
  Episode,
  EpisodeEnd,
  FinishReason,
  Json,
  Prompt,
  RewardPartResult,
  RewardStatus,
  ScoredCompletion,
} from "../types.ts";

/** A line of samples.jsonl. */
export interface SampleRecord {
  step: number;
  stage: string;
  prompt_id: string;
  sample_index: number;
  prompt: string;
  /** Ids of its pictures in their order, as thumbnails.jsonl has them; absent where it shows none. */
  pictures?: string[];
  answer: string;
  completion: string;
  tokens: number;
  finish_reason: FinishReason;
  reward: number;
  status: RewardStatus;
  correct: boolean;
  advantage?: number;
  parts: Record<string, RewardPartResult>;
  /** Of an episode. */
  episode?: {
    end: EpisodeEnd;
    note?: string;
    turns: { text: string; tool_calls?: unknown; reward: number; observation: string; info?: Json }[];
  };
}

/** Characters of an observation that are written down. */
const OBSERVATION = 2000;

function episodeRecord({ end, note, turns }: Episode): NonNullable<SampleRecord["episode"]> {
  return {
    end,
    ...(note === undefined ? {} : { note }),
    turns: turns.map(({ text, toolCalls, reward, messages, info }) => ({
      text,
      ...(toolCalls.length === 0 ? {} : { tool_calls: toolCalls }),
      reward,
      observation: messages
        .map(({ role, content }) => `${role}: ${content}`)
        .join("\n")
        .slice(0, OBSERVATION),
      ...(info === undefined ? {} : { info }),
    })),
  };
}

/** What the policy read, as plain text: messages as "role: content", images as their paths. */
export function promptText(prompt: Prompt): string {
  if (prompt.input.kind === "text") return prompt.input.text;
  return prompt.input.messages
    .map(({ role, content }) => {
      const text =
        typeof content === "string"
          ? content
          : content
              .map((part) => (part.type === "text" ? part.text : `[image ${part.picture.name}]`))
              .join("");
      return `${role}: ${text}`;
    })
    .join("\n");
}

/** @param advantage of this completion, where the algorithm has one */
export function sampleRecord(
  step: number,
  stage: string,
  prompt: Prompt,
  completion: ScoredCompletion,
  advantage?: number,
): SampleRecord {
  const shown = picturesOf(prompt).map(({ id }) => id);
  return {
    step,
    stage,
    prompt_id: prompt.id,
    sample_index: completion.sampleIndex,
    prompt: promptText(prompt),
    ...(shown.length === 0 ? {} : { pictures: shown }),
    answer: prompt.answer,
    completion: completion.text,
    tokens: sampledCount(completion),
    finish_reason: completion.finishReason,
    reward: completion.reward,
    status: completion.status,
    correct: completion.correct,
    ...(advantage === undefined ? {} : { advantage }),
    parts: { ...completion.parts },
    ...(completion.episode === undefined ? {} : { episode: episodeRecord(completion.episode) }),
  };
}
