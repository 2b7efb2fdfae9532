import * as tf from "@tensorflow/tfjs";
import { describe, expect, it } from "vitest";
import { carriesLoss, lossInput, type PolicySample } from "../../src/algorithms/passes.ts";
import { createRng, type Rng } from "../../src/lib/rng.ts";
import { sampledCount } from "../../src/lib/sampled.ts";
import { type EpisodeOptions, playEpisodes } from "../../src/rollouts/episodes.ts";
import type { GenerateOptions } from "../../src/rollouts/generate.ts";
import { observationIds } from "../../src/rollouts/observation.ts";
import { sampleToken } from "../../src/rollouts/sample-token.ts";
import type {
  ChatMessage,
  EnvironmentHost,
  EnvironmentReply,
  EnvironmentStep,
  Group,
  Prompt,
  Tokenizer,
} from "../../src/types.ts";
import { characters, fakePolicy, hashedLogits } from "../helpers/scripted-policy.ts";

const EOS = "\u0001";

/** What each template writes around an assistant's text and other messages; none gives back what it was given. */
const templates: Record<string, { text(content: string, isLast: boolean): string; end: string }> = {
  plain: { text: (content) => content, end: EOS },
  "strips and trims": { text: (content) => content.trim().replace(/^.*<\/t>/s, ""), end: `${EOS}\n` },
  "upper case": { text: (content) => content.toUpperCase(), end: EOS },
  "writes it twice": { text: (content) => `${content}|${content}`, end: `${EOS};` },
  "forgets all but the last": { text: (content, isLast) => (isLast ? content : ""), end: EOS },
  "no end": { text: (content) => content, end: "" },
};

function render(kind: string, messages: readonly ChatMessage[]): string {
  const { text, end } = templates[kind]!;
  const last = messages.map(({ role }) => role).lastIndexOf("assistant");
  return messages
    .map(({ role, content }, i) =>
      role === "assistant" ? `[a]${text(content as string, i === last)}${end}` : `[${role}]${content}\n`,
    )
    .join("");
}

function tokenizerOf(kind: string): Tokenizer {
  return {
    ...characters,
    hasChatTemplate: true,
    renderChat: (messages, { addGenerationPrompt }) =>
      render(kind, messages) + (addGenerationPrompt ? "[a]" : ""),
  };
}

const NASTY = [
  "",
  EOS,
  "[a]",
  `x${EOS}[a]`,
  "900000001",
  "90000000019",
  "</t>",
  " lower ",
  "\n\n",
  "{{ x }}",
];

/** Answers by chance, but the same for the same key and turn. */
function hostileHost(rng: Rng, shown: Map<string, ChatMessage[][]>): EnvironmentHost {
  const turns = new Map<string, number>();
  return {
    name: "hostile",
    async start(key) {
      turns.set(key, 0);
      shown.set(key, []);
      return { kind: "ok", value: { messages: [{ role: "user", content: "go" }] } };
    },
    async step(key): Promise<EnvironmentReply<EnvironmentStep>> {
      const turn = turns.get(key)!;
      turns.set(key, turn + 1);
      const draw = rng.fork(key, turn);
      const messages = Array.from({ length: draw.integer(3, 0) }, (_, i): ChatMessage => {
        const content = NASTY[draw.integer(NASTY.length, 10 + i)]!;
        return { role: draw.uniform(20 + i) < 0.5 ? "user" : "tool", content };
      });
      shown.get(key)!.push(messages);
      if (draw.uniform(1) < 0.05) return { kind: "error", message: "by chance" };
      return { kind: "ok", value: { messages, reward: draw.integer(3, 3), done: draw.uniform(2) < 0.15 } };
    },
    end: (key) => void turns.delete(key),
    close: async () => {},
  };
}

const options: GenerateOptions = {
  temperature: 1,
  top_p: 1,
  top_k: 0,
  min_p: 0,
  groupSize: 5,
  maxNewTokens: 60,
  stop: [],
  batchRows: 40,
};
const episodes: Omit<EpisodeOptions, "host"> = {
  maxTurns: 6,
  maxTurnTokens: 7,
  maxObservationTokens: 40,
  cohorts: 2,
  toolCalls: () => [],
};
const logitsOf = hashedLogits(0);
// turns end now and then by themselves
const logits = (tokens: readonly number[], size: number) =>
  logitsOf(tokens, size).map((logit, i) => (i === 1 ? 1 : logit));

/** The ids and the mask of an episode from nothing but the draws and what the environment said. */
function reconstruct(
  kind: string,
  prompt: readonly number[],
  random: Rng,
  shown: readonly ChatMessage[][],
  turns: number,
): { ids: number[]; mask: number[] } {
  const ids: number[] = [];
  const mask: number[] = [];
  for (let turn = 0; turn < turns; turn++) {
    const draws = random.fork("turn", turn);
    const limit = Math.min(7, 60 - ids.length);
    for (let t = 0; t < limit; t++) {
      const row = Float32Array.from(logits([...prompt, ...ids], 128));
      const { token } = sampleToken(row, 0, 128, options, draws.uniform(t));
      ids.push(token);
      mask.push(1);
      if (token === 1) break;
    }
    if (turn === turns - 1) break;
    const after = `${templates[kind]!.end}${shown[turn]!.map(({ role, content }) => `[${role}]${content}\n`).join("")}[a]`;
    for (const c of ids.at(-1) === 1 && after.startsWith(EOS) ? after.slice(1) : after) {
      ids.push(c.charCodeAt(0));
      mask.push(0);
    }
  }
  return { ids, mask };
}

async function play(kind: string, prompts: number, more: Partial<EpisodeOptions> = {}) {
  const shown = new Map<string, ChatMessage[][]>();
  const tokenizer = tokenizerOf(kind);
  const encoded = Array.from({ length: prompts }, (_, p) => {
    const messages: ChatMessage[] = [{ role: "user", content: "go" }];
    const prompt: Prompt = {
      id: `p${p}`,
      input: { kind: "chat", messages },
      answer: "",
      slices: {},
      fields: {},
      seed: p,
    };
    const text = tokenizer.renderChat(messages, { addGenerationPrompt: true });
    return { prompt, tokens: Int32Array.from(tokenizer.encode(text, { addSpecialTokens: false })) };
  });
  const policy = fakePolicy(logits);
  const stream = createRng(8).fork(kind);
  const host = hostileHost(createRng(9).fork(kind), shown);
  const groups = await playEpisodes(
    policy,
    tokenizer,
    encoded,
    options,
    { ...episodes, host, ...more, positions: 200 },
    stream,
  );
  expect(policy.live()).toBe(0);
  return { groups, shown, stream };
}

const sampleOf = (group: Group, g: number): PolicySample => ({
  promptTokens: group.promptTokens,
  pictures: null,
  completion: {
    ...group.completions[g]!,
    reward: 0,
    status: "ok",
    parts: {},
    correct: false,
    thinks: null,
  },
  advantage: 1,
  weight: 1,
  masked: null,
  reference: null,
});

describe("episodes", () => {
  it("have the ids that were sampled, and the environment's, in 1,080 episodes of hostile templates and texts", async () => {
    let count = 0;
    const ends = new Set<string>();
    for (const kind of Object.keys(templates)) {
      const { groups, shown, stream } = await play(kind, 36);
      for (const [p, group] of groups.entries()) {
        for (const [g, completion] of group.completions.entries()) {
          const { sampled, turns, end } = completion.episode!;
          const expected = reconstruct(
            kind,
            [...group.promptTokens],
            stream.fork(`p${p}`, g),
            shown.get(`${p}-${g}`)!,
            turns.length,
          );
          expect([...completion.tokens], `${kind} ${p}-${g}`).toEqual(expected.ids);
          expect([...sampled]).toEqual(expected.mask);
          ends.add(end);
          count++;
        }
      }
    }
    expect(count).toBe(1080);
    expect([...ends].sort()).toEqual(["done", "error", "observation", "tokens", "turns"]);
  }, 120_000);

  it("give no token of the environment a weight in the loss", async () => {
    const { groups } = await play("no end", 12);
    const samples = groups.flatMap((group) => group.completions.map((_, g) => sampleOf(group, g)));
    const own = samples.reduce((sum, { completion }) => sum + sampledCount(completion), 0);
    const all = samples.reduce((sum, { completion }) => sum + completion.tokens.length, 0);
    expect(all - own).toBeGreaterThan(300);
    for (const sample of samples) {
      for (let t = 0; t < sample.completion.tokens.length; t++) {
        expect(carriesLoss(sample, t)).toBe(sample.completion.episode!.sampled[t] === 1);
      }
    }
    const stage = {
      policy: {
        fewShapes: null,
        score: ({ targets }: { targets: Int32Array }) => ({
          logprobs: tf.zeros([targets.length]),
          entropy: tf.zeros([targets.length]),
        }),
      },
      settings: { rollout: { temperature: 1 } },
    } as unknown as Parameters<typeof lossInput>[0];
    const { input, tokens } = lossInput(
      stage,
      samples,
      {
        minibatches: 1,
        loss: { kind: "clipped" },
        clip: { low: 0.2, high: 0.2 },
        kl: { coef: 0, place: "loss", estimator: "k3" },
        entropy_coef: 0,
      } as unknown as Parameters<typeof lossInput>[2],
      samples.length,
    );
    expect(tokens).toBe(own);
    expect([...(await input.weights.data())].filter((weight) => weight > 0)).toHaveLength(own);
  });

  it("do not depend on how many wait together, nor on who answers first", async () => {
    const one = await play("plain", 8, { cohorts: 1 });
    for (const cohorts of [2, 8]) expect((await play("plain", 8, { cohorts })).groups).toEqual(one.groups);
  });

  it("refuse observations that no ids stand for: a picture's token, a template that leaves the turn out", () => {
    const before = { messages: [], tools: undefined, last: 97 };
    const said: ChatMessage[] = [{ role: "user", content: "a*b" }];
    const plain = tokenizerOf("plain");
    expect(String.fromCharCode(...observationIds(plain, before, said))).toBe(`${EOS}[user]a*b\n[a]`);
    expect(observationIds(plain, { ...before, last: 1 }, said)[0]).toBe("[".charCodeAt(0));
    const pictures = { imageTokenId: "*".charCodeAt(0) } as NonNullable<Tokenizer["pictures"]>;
    expect(() => observationIds({ ...plain, pictures }, before, said)).toThrow(/token of a picture/);
    const silent = { ...plain, renderChat: () => "[a]" };
    expect(() => observationIds(silent, before, said)).toThrow(/leaves out an assistant's text/);
    const strict = {
      ...plain,
      renderChat: () => {
        throw new Error("roles must alternate");
      },
    };
    expect(() => observationIds(strict, before, said)).toThrow(/refuses .*roles must alternate/);
  });

  it("end by an observation that is too long, and keep what was sampled before it", async () => {
    const { groups } = await play("plain", 10, { maxObservationTokens: 12 });
    const ended = groups.flatMap(({ completions }) =>
      completions.filter(({ episode }) => episode!.end === "observation"),
    );
    expect(ended.length).toBeGreaterThan(5);
    for (const { episode, tokens } of ended) {
      expect(episode!.note).toMatch(/^turn \d: an observation of \d+ tokens, the limit is 12$/);
      expect(episode!.turns.at(-1)!.to).toBe(tokens.length);
    }
  });
});
