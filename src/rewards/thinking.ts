/**
 * Does a completion think? The one place that decides: rewards, shaping, metrics and evaluation ask here.
 *
 * Without `directOpening`: text before `</think>` counts, wherever the block was opened: by the prompt (R1-style
 * templates end in `<think>`) or by the completion itself; white space alone is no thought.
 *
 * With it, AutoThink's rule, byte for byte (arXiv:2505.10832; code: deepscaler/rewards/math_reward.py): a
 * completion answers directly iff it starts with the opening, or the whole text holds it right after the prompt's
 * ellipsis. With the paper's `</think>\n\n`, a block closed by `</think>\n` counts as thinking.
 * @returns null where neither prompt nor completion knows think tags: the question makes no sense there
 */
export function thinks(promptText: string, completion: string, directOpening?: string): boolean | null {
  const opened = promptText.lastIndexOf("<think>") > promptText.lastIndexOf("</think>");
  const start = completion.indexOf("<think>");
  const known = opened || start >= 0 || completion.includes("</think>") || promptText.includes("</think>");
  if (!known) return null;
  if (directOpening !== undefined) {
    const closed = `<think>\n...\n${directOpening}`;
    return !completion.startsWith(directOpening) && !(promptText + completion).includes(closed);
  }
  if (!opened && start < 0) return false;
  const from = opened ? 0 : start + "<think>".length;
  const end = completion.indexOf("</think>", from);
  const thought = completion.slice(from, end < 0 ? undefined : end);
  return thought.trim() !== "";
}
