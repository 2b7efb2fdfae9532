/**
 * Does a completion think? Text before `</think>` counts, wherever the block was opened: by the prompt
 * (R1-style templates end in `<think>`) or by the completion itself.
 * @returns null where neither prompt nor completion knows think tags: the question makes no sense there
 */
export function thinks(promptText: string, completion: string): boolean | null {
  const opened = promptText.lastIndexOf("<think>") > promptText.lastIndexOf("</think>");
  const start = completion.indexOf("<think>");
  if (!opened && start < 0)
    return completion.includes("</think>") || promptText.includes("</think>") ? false : null;
  const from = opened ? 0 : start + "<think>".length;
  const end = completion.indexOf("</think>", from);
  const thought = completion.slice(from, end < 0 ? undefined : end);
  return thought.trim() !== "";
}
