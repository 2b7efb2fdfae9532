// Minus the share of lines that only say again what the line before said.

/** @param {{ completion: string }} input @returns {{ value: number, note: string }} */
export function reward({ completion }) {
  const lines = completion
    .split("</think>")[0]
    .split("\n")
    .filter((line) => line.trim() !== "");
  const repeats = lines.filter((line, i) => i > 0 && line === lines[i - 1]).length;
  return { value: lines.length === 0 ? 0 : -repeats / lines.length, note: `${repeats} of ${lines.length}` };
}

/** `rlpt reward test config.yaml` runs these. */
export const cases = [
  { input: { completion: "3+8=1\n1*5=5\n</think><answer>5</answer>" }, expect: 0 },
  { input: { completion: "3+8=1\n3+8=1\n</think><answer>1</answer>" }, expect: -0.5 },
  { input: { completion: "</think><answer>1</answer>" }, expect: 0 },
];
