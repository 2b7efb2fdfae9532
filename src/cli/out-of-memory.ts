/** Errors of engines that mean one thing: the memory is full. */

const SIGNS = [
  /^Aborted\(/, // what tfjs's WebAssembly module says when its heap cannot grow
  /WebAssembly\.Memory/,
  /Array buffer allocation failed/,
  /Invalid typed array length/,
  /out of memory/i,
  /\bOOM\b/,
];

/** What to do about it; null when the error says something else. */
export function memoryAdvice(message: string): string | null {
  if (!SIGNS.some((sign) => sign.test(message))) return null;
  return [
    `The engine ran out of memory: ${message.split("\n", 1)[0]}`,
    "WebAssembly has at most 4 GB, whatever the machine has. What takes less, in this order: algorithm.micro_batch_rows",
    "4, then 2, 1; model.rematerialise: true; model.lora; rollout.batch_rows and eval.batch_rows; rollout.max_new_tokens.",
  ].join("\n");
}
