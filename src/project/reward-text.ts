/** The reward file of a new project: a user's own from the first line, with cases from the user's own rows. */

/** Where a completion's answer stands. */
export type AnswerForm =
  | { kind: "marker"; marker: string /** Answers may have several lines. */; lines: boolean }
  | { kind: "tags" };

/** A completion that gives an answer in that form. */
export function answerIn(form: AnswerForm, answer: string): string {
  return form.kind === "tags" ? `<answer>${answer}</answer>` : `${form.marker} ${answer}`;
}

const find = (form: AnswerForm): string =>
  form.kind === "tags"
    ? `/** What stands in the last <answer>...</answer>; null where there is none. */
function answerOf(completion) {
  const begin = completion.lastIndexOf("<answer>");
  const end = completion.indexOf("</answer>", begin);
  return begin < 0 || end < 0 ? null : completion.slice(begin + "<answer>".length, end);
}`
    : `/** What stands behind the last ${JSON.stringify(form.marker)}${form.lines ? "" : ", to the end of its line"}; null where there is none. */
function answerOf(completion) {
  const begin = completion.lastIndexOf(${JSON.stringify(form.marker)});
  if (begin < 0) return null;
  return completion.slice(begin + ${JSON.stringify(form.marker)}.length)${form.lines ? "" : '.trimStart().split("\\n", 1)[0]'};
}`;

/**
 * @param path as people type it
 * @param answers gold answers of rows, in their order
 */
export function rewardText(path: string, form: AnswerForm, answers: readonly string[]): string {
  return `// What a completion is worth: 1 for the right answer, 0 for another. Change it as you like, and its cases with it:
//   npx rlpt reward test ${path}
// Input has completion, answer (the gold one), fields (the row's columns), promptText, tokens and finishReason.

${find(form)}

/** What does not count: capitals, blanks, a full stop at the end, and how a number is written (1,000 is 1000.0). */
function plain(text) {
  let bare = text.trim().toLowerCase().replace(/\\s+/g, " ");
  if (bare.endsWith(".")) bare = bare.slice(0, -1).trimEnd();
  const digits = /^-?\\d{1,3}(,\\d{3})+(\\.\\d+)?$/.test(bare) ? bare.replaceAll(",", "") : bare;
  return /^-?\\d+(\\.\\d+)?$/.test(digits) && digits.length <= 15 ? String(Number(digits)) : bare;
}

export function reward({ completion, answer }) {
  const given = answerOf(completion);
  // counted apart from wrong answers
  if (given === null) return { value: 0, status: "unparsed", note: "no answer" };
  return { value: plain(given) === plain(answer) ? 1 : 0, note: \`answers \${given.trim()}\` };
}

export const cases = [
${casesOf(form, answers)
  .map(
    ({ completion, answer, expect }) =>
      `  { input: { completion: ${JSON.stringify(completion)}, answer: ${JSON.stringify(answer)} }, expect: ${expect} },`,
  )
  .join("\n")}
];
`;
}

const LONGEST = 80;

function casesOf(
  form: AnswerForm,
  answers: readonly string[],
): { completion: string; answer: string; expect: number }[] {
  const marker = form.kind === "tags" ? "<answer>" : form.marker;
  const distinct = [...new Map(answers.map((answer) => [answer.trim().toLowerCase(), answer])).values()];
  const fit = distinct.filter((answer) => answer.length <= LONGEST && !answer.includes(marker));
  const [right = distinct[0]!, second] =
    fit.length > 0 ? fit : distinct.filter((one) => !one.includes(marker));
  const wrong = second ?? `${right} and more`;
  return [
    { completion: answerIn(form, right), answer: right, expect: 1 },
    { completion: `So it is this.\n${answerIn(form, ` ${right} `)}`, answer: right, expect: 1 },
    { completion: answerIn(form, wrong), answer: right, expect: 0 },
    // the last answer counts
    { completion: `${answerIn(form, right)}\n${answerIn(form, wrong)}`, answer: right, expect: 0 },
    // the right words, but no answer
    { completion: `It may be ${right}`, answer: right, expect: 0 },
    { completion: "", answer: right, expect: 0 },
  ];
}
