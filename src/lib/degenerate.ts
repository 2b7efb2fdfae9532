/** What text that runs in circles is, in AutoThink's code (math_reward.py); also what metrics count. */
export const degenerateDefaults = { repeats: 10, longest: 30, word_chars: 120 } as const;

/**
 * Text that runs in circles: some n-gram of 1 to `longest` words stands `repeats` times in a row, the words cut
 * into chunks of n from the beginning; or one word has `word_chars` characters or more.
 */
export function isDegenerate(
  text: string,
  { repeats, longest, word_chars }: { repeats: number; longest: number; word_chars: number },
): boolean {
  const words = text.split(/\s+/).filter((word) => word !== "");
  if (words.some((word) => word.length >= word_chars)) return true;
  for (let n = 1; n <= Math.min(longest, Math.floor(words.length / repeats)); n++) {
    let run = 1;
    for (let chunk = 1; (chunk + 1) * n <= words.length; chunk++) {
      const at = chunk * n;
      const equal = Array.from({ length: n }, (_, i) => words[at + i] === words[at - n + i]).every(Boolean);
      run = equal ? run + 1 : 1;
      if (run >= repeats) return true;
    }
  }
  return false;
}
