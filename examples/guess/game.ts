// A number from 1 to 7 is to be found. Each turn is a guess; the answer is higher, lower or invalid.
const NUMBERS = 7;

interface Action {
  /** What the model wrote in this turn, without its end token. */
  text: string;
  /** Calls of tools in it, each with name, arguments and, where it is malformed, error. */
  toolCalls: { name: string; arguments: Record<string, unknown>; error?: string }[];
}

/** Called once for each episode, so that what stands in here is the episode's own. */
export function environment() {
  let secret = 0;
  const asked: number[] = [];

  return {
    /** The same seed must begin the same episode: all chance comes from it. */
    reset(seed: number, _row: Record<string, unknown>) {
      secret = 1 + (seed % NUMBERS);
      return [{ role: "user", content: "guess" }];
    },

    step({ text }: Action) {
      const guess = Number(text.trim());
      if (guess === secret) {
        return { messages: [], reward: 1, done: true, info: { asked } };
      }
      const isNumber = Number.isInteger(guess) && guess >= 1 && guess <= NUMBERS;
      const again = asked.includes(guess);
      asked.push(guess);
      const answer = !isNumber ? "invalid" : guess < secret ? "higher" : "lower";
      return {
        messages: [{ role: "user", content: answer }],
        reward: 0,
        done: false,
        info: { again },
      };
    },
  };
}
