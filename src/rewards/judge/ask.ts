/** From questions to verdicts: what is stored is taken, the rest is asked within the budget, and every verdict is stored. */
import { RewardError } from "../../lib/errors.ts";
import type { ChatMessage, Verdict, VerdictStore } from "../../types.ts";
import type { JudgeSpec } from "./options.ts";
import { judgeHash, type Question, readVerdict, remind } from "./prompts.ts";

export type JudgeReply =
  | { kind: "said"; text: string; tokens: number }
  /** This question will not be answered, however often it is asked. */
  | { kind: "refused"; reason: string };

/** What a judge needs from outside of the rewards: a memory, and something that asks. */
export interface JudgeServices {
  verdicts: VerdictStore;
  /**
   * Asks a model. Replies come in any order.
   * @param take is called before every request; it throws when the budget is spent
   * @param told is called with each reply as it comes
   * @throws RlptError when the model cannot be reached
   */
  ask(
    spec: JudgeSpec,
    questions: readonly (readonly ChatMessage[])[],
    take: () => void,
    told: (index: number, reply: JudgeReply) => void,
  ): Promise<void>;
}

/** Characters of a reply that are stored: what people look at. */
const KEPT = 500;

/** @returns one verdict a question, in order @throws RewardError when the budget is spent */
export async function verdictsOf(
  name: string,
  spec: JudgeSpec,
  questions: readonly Question[],
  { verdicts, ask }: JudgeServices,
): Promise<Verdict[]> {
  const judge = judgeHash(spec);
  const spent = { calls: 0, tokens: 0 };
  for (const verdict of verdicts.all()) {
    if (verdict.judge !== judge) continue;
    spent.calls += verdict.calls;
    spent.tokens += verdict.tokens;
  }
  const take = (): void => {
    for (const unit of ["calls", "tokens"] as const) {
      const limit = spec.limits[unit];
      if (limit === undefined || spent[unit] < limit) continue;
      throw new RewardError(
        `reward part ${name}: its budget of ${limit} ${unit} is spent. Every verdict is kept; go on with a larger one: rlpt train --resume RUN --set rewards.N.limits.${unit}=..., N its place in the list from 0.`,
      );
    }
    spent.calls++;
  };
  // a question that stands several times in a batch is asked once
  const missing = new Map(
    questions.filter(({ key }) => verdicts.get(key) === undefined).map((one) => [one.key, one]),
  );
  let open = [...missing.values()].map((question) => ({
    question,
    messages: question.messages,
    calls: 0,
    tokens: 0,
  }));
  const put = (one: (typeof open)[number], rest: Pick<Verdict, "status" | "values" | "text">): void =>
    verdicts.put({
      key: one.question.key,
      judge,
      status: rest.status,
      values: rest.values,
      text: rest.text.slice(0, KEPT),
      calls: one.calls,
      tokens: one.tokens,
    });
  for (let reading = 1; open.length > 0; reading++) {
    const again: typeof open = [];
    const asked = open;
    await ask(
      spec,
      asked.map(({ messages }) => messages),
      take,
      (index, reply) => {
        const one = asked[index]!;
        one.calls++;
        if (reply.kind === "refused") return put(one, { status: "refused", values: [], text: reply.reason });
        one.tokens += reply.tokens;
        spent.tokens += reply.tokens;
        const values = readVerdict(one.question, reply.text);
        if (values !== null) return put(one, { status: "read", values, text: reply.text });
        if (reading >= spec.limits.readings)
          return put(one, { status: "unreadable", values: [], text: reply.text });
        again.push({ ...one, messages: remind(one.question, reply.text) });
      },
    );
    open = again;
  }
  return questions.map(({ key }) => verdicts.get(key)!);
}

/** Why a verdict is none, for notes. */
export function verdictFailure({ status, text }: Verdict): string {
  return status === "refused"
    ? `the judge refused: ${text}`
    : `the judge's verdict is unreadable: ${JSON.stringify(text.slice(0, 120))}`;
}
