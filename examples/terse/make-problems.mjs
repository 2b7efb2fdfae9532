// Writes problems.csv: 600 left-to-right sums mod 10, such as 3+8*5-9=, with their answers.
//   node make-problems.mjs > problems.csv
const columns = ["problem", "answer", "level"];
// a fixed sequence (Park and Miller's), so that the file is the same everywhere
let state = 20260105;
const draw = (n) => {
  state = (state * 48271) % 2147483647;
  return state % n;
};
const apply = { "+": (a, b) => a + b, "-": (a, b) => a - b + 10, "*": (a, b) => a * b };
const seen = new Set();
const lines = [columns.join(",")];
while (lines.length <= 600) {
  const level = 1 + draw(5);
  let value = draw(10);
  let text = String(value);
  for (let i = 0; i < level; i++) {
    const operator = "+-*"[draw(3)];
    const operand = draw(10);
    text += operator + operand;
    value = apply[operator](value, operand) % 10;
  }
  if (seen.has(text)) continue;
  seen.add(text);
  lines.push(`${text}=,${value},${level}`);
}
process.stdout.write(`${lines.join("\n")}\n`);
