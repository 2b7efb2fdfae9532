/** Score against use of thought: which points are worth having. Numbers in, numbers out. */

export interface ParetoPoint {
  /** Share of completions that think, 0..1: less is better. */
  trigger: number;
  /** Mean score: more is better. */
  score: number;
}

/**
 * Which points are dominated: another one triggers no more and scores no less, and differs in one of the two
 * strictly (AdaCoT, arXiv:2505.11896, section 2.1). Equal points do not dominate each other.
 */
export function dominated(points: readonly ParetoPoint[]): boolean[] {
  return points.map(({ trigger, score }) =>
    points.some(
      (other) =>
        other.trigger <= trigger && other.score >= score && (other.trigger < trigger || other.score > score),
    ),
  );
}

/**
 * Area of the (1 - trigger, score) plane that the points dominate, above the reference (trigger 1, score 0):
 * 1 would be a full score without any thought.
 */
export function hypervolume(points: readonly ParetoPoint[]): number {
  const lost = dominated(points);
  const front = points.filter((_, i) => !lost[i]).sort((a, b) => a.trigger - b.trigger || b.score - a.score);
  let area = 0;
  let reached = 0; // best score among those that trigger less
  for (const { trigger, score } of front) {
    area += Math.max(0, score - reached) * (1 - trigger);
    reached = Math.max(reached, score);
  }
  return area;
}
