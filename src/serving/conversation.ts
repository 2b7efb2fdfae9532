/** A conversation with a policy: messages in, replies out, and the keys and values of what was said kept between them. */
import { ConfigError } from "../lib/errors.ts";
import { createRng } from "../lib/rng.ts";
import type { ModelFiles, TrainablePolicy } from "../policy/interfaces.ts";
import { type DecodedRow, decodeRows } from "../rollouts/decode.ts";
import type { SamplingOptions } from "../rollouts/sample-token.ts";
import type { ChatMessage, GenerationSession } from "../types.ts";

export interface ConversationOptions {
  system: string | null;
  sampling: SamplingOptions;
  /** Of a reply; the rest of the context when null. */
  maxNewTokens: number | null;
  stop: readonly string[];
  seed: number;
}

export interface Reply extends DecodedRow {
  /** Tokens of the conversation that were not read again. */
  kept: number;
  promptTokens: number;
}

/** New tokens are stepped through one by one; reading all anew is faster above this share of what is kept. */
const STEPPED_SHARE = 1 / 4;

export class Conversation {
  readonly messages: ChatMessage[] = [];
  private readonly policy: TrainablePolicy;
  private readonly files: ModelFiles;
  private readonly options: ConversationOptions;
  /** What was read and said so far: a reply stands there as the tokens that were drawn, however its text would be cut. */
  private said: { text: string; tokens: number[] } | null = null;
  /** What the cache holds, and how many steps it has left. */
  private cache: { session: GenerationSession; tokens: number[]; left: number } | null = null;
  private turns = 0;

  /** @throws ConfigError for a system message that the model cannot be given */
  constructor(policy: TrainablePolicy, files: ModelFiles, options: ConversationOptions) {
    this.policy = policy;
    this.files = files;
    this.options = options;
    if (options.system === null) return;
    if (!files.tokenizer.hasChatTemplate)
      throw new ConfigError("--system needs a model with a chat template: this one reads plain text");
    this.messages.push({ role: "system", content: options.system });
  }

  /** Forgets what was said, not the system message. */
  reset(): void {
    this.messages.length = this.options.system === null ? 0 : 1;
    this.dispose();
  }

  /** Takes the last question back with its reply. */
  undo(): void {
    if (this.messages.at(-1)?.role === "assistant") this.messages.pop();
    if (this.messages.at(-1)?.role === "user") this.messages.pop();
  }

  /**
   * @param onText what can be shown, as it comes @param cancelled asked before each token: the reply ends there and stays
   * @throws ConfigError where the conversation does not fit the model's positions; it is then as before
   */
  async say(text: string, onText: (text: string) => void, cancelled: () => boolean): Promise<Reply> {
    this.messages.push({ role: "user", content: text });
    try {
      const { written, prompt } = this.encode();
      const reply = await this.answer(prompt, onText, cancelled);
      const drawn = reply.end === "eos" ? reply.tokens.slice(0, -1) : reply.tokens;
      // a stop string is among the tokens and not in the text
      this.said = reply.end === "stop" ? null : { text: written + reply.text, tokens: [...prompt, ...drawn] };
      this.messages.push({ role: "assistant", content: reply.text });
      return reply;
    } catch (error) {
      this.messages.pop();
      throw error;
    }
  }

  dispose(): void {
    this.cache?.session.dispose();
    this.cache = null;
  }

  /** Without a template the words stand one after another, as a base model reads them. */
  private encode(): { written: string; prompt: number[] } {
    const { tokenizer } = this.files;
    const chat = tokenizer.hasChatTemplate;
    const written = chat
      ? tokenizer.renderChat(this.messages, { addGenerationPrompt: true })
      : this.messages.map(({ content }) => content).join("");
    const { said } = this;
    if (said === null || !written.startsWith(said.text)) {
      return { written, prompt: tokenizer.encode(written, { addSpecialTokens: !chat }) };
    }
    const rest = tokenizer.encode(written.slice(said.text.length), { addSpecialTokens: false });
    return { written, prompt: [...said.tokens, ...rest] };
  }

  private async answer(
    prompt: number[],
    onText: (text: string) => void,
    cancelled: () => boolean,
  ): Promise<Reply> {
    const positions = this.policy.config.maxPositions;
    const room = positions - prompt.length;
    if (room < 1) {
      throw new ConfigError(
        `the conversation has ${prompt.length} tokens and the model ${positions} positions: /reset begins anew, /undo takes the last question back`,
      );
    }
    const maxNewTokens = Math.min(room, this.options.maxNewTokens ?? room);
    const kept = await this.read(prompt, maxNewTokens);
    const { session, tokens } = this.cache!;
    const row = {
      prompt: Int32Array.from(prompt),
      sampling: this.options.sampling,
      maxNewTokens,
      stop: this.options.stop,
      random: createRng(this.options.seed).fork("chat", this.turns++),
      topLogprobs: null,
      onToken: (step: { text: string }) => onText(step.text),
      cancelled,
    };
    let reply: DecodedRow;
    try {
      [reply] = (await decodeRows(this.policy, this.files.tokenizer, [row], session)) as [DecodedRow];
    } catch (error) {
      this.dispose();
      throw error;
    }
    // the last token is never fed back
    const fed = reply.end === "cancelled" ? reply.tokens : reply.tokens.slice(0, -1);
    tokens.push(...fed);
    this.cache!.left -= fed.length;
    return { ...reply, kept, promptTokens: prompt.length };
  }

  /** Brings the cache before the first token of the reply. @returns tokens that it held already */
  private async read(prompt: readonly number[], maxNewTokens: number): Promise<number> {
    const { cache } = this;
    if (cache !== null) {
      const held = cache.tokens.length;
      const rest = prompt.slice(held);
      const isPrefix = rest.length > 0 && cache.tokens.every((id, i) => id === prompt[i]);
      if (isPrefix && rest.length <= held * STEPPED_SHARE && cache.left >= rest.length + maxNewTokens - 1) {
        for (const id of rest) await cache.session.step(Int32Array.of(id));
        cache.tokens.push(...rest);
        cache.left -= rest.length;
        return held;
      }
      this.dispose();
    }
    const left = this.policy.config.maxPositions - prompt.length + 1;
    const session = await this.policy.startGeneration([Int32Array.from(prompt)], {
      repeats: 1,
      maxNewTokens: left,
    });
    this.cache = { session, tokens: [...prompt], left };
    return 0;
  }
}
