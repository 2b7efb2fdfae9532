/** Tokens of a completion that the policy wrote: all of them, or those that no environment wrote. */
interface Written {
  tokens: Int32Array; // [T]
  /** 1 for tokens that were sampled. [T] */
  episode?: { sampled: Uint8Array };
}

export function isSampled({ episode }: Pick<Written, "episode">, t: number): boolean {
  return episode === undefined || episode.sampled[t] === 1;
}

/** Their number; what lengths of completions count. */
export function sampledCount({ tokens, episode }: Written): number {
  return episode === undefined ? tokens.length : episode.sampled.reduce((sum, one) => sum + one, 0);
}

/** Their ids. */
export function sampledIds({ tokens, episode }: Written): Int32Array {
  return episode === undefined ? tokens : tokens.filter((_, t) => episode.sampled[t] === 1);
}
