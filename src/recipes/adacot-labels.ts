/**
 * AdaCoT's labeller (arXiv:2505.11896, section 2.2.1 and appendix): does the last user turn need thought? The
 * slots, the two verdicts and the criteria are the paper's; the words are ours.
 */

const YES = "Requires In-depth Thinking";
const NO = "Does Not Require In-depth Thinking";

export interface LabelInput {
  /** System message of the conversation, empty when it has none. */
  system: string;
  /** Earlier turns, empty when there are none. */
  history: string;
  /** The last user turn: what is judged. */
  prompt: string;
}

export function labelMessages({
  system,
  history,
  prompt,
}: LabelInput): { role: "system" | "user"; content: string }[] {
  const instruction = `You decide whether a language model should think step by step before it answers a user.
Judge the user's last message only; the system prompt and the earlier turns are there to understand it.

It needs thought when answering well takes any of these:
- several steps, or a chain of logical conclusions
- taking a concept apart, or putting several pieces of knowledge together
- a systematic analysis, or one from several angles
- specialist knowledge, or knowledge from more than one field
- a creative idea
- weighing several reasonable ways to an answer
- working through complex content, even where the question itself is plain

It needs none when any of these holds:
- the answer is recalled or looked up
- one direct step leads to it
- it is common sense or a well-known fact
- the answer is simple or standard
- there is nothing to analyse or to put together

Write one of these two lines and nothing else:
${YES}
${NO}`;
  const part = (name: string, text: string) =>
    `<${name}>\n${text.trim() === "" ? "(none)" : text}\n</${name}>`;
  return [
    { role: "system", content: instruction },
    {
      role: "user",
      content: [part("system_prompt", system), part("history", history), part("last_prompt", prompt)].join(
        "\n",
      ),
    },
  ];
}

/** The labeller's answer. @returns null when it is none of the two verdicts */
export function readVerdict(answer: string): boolean | null {
  const text = answer
    .replace(/^[\s\S]*<\/think>/, "")
    .trim()
    .replace(/^["'`*]+|["'`*.]+$/g, "")
    .toLowerCase();
  if (text === YES.toLowerCase()) return true;
  return text === NO.toLowerCase() ? false : null;
}
