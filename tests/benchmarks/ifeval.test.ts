/** IFEval's instructions, each with replies that follow it and replies that do not, by the published checkers' rules. */
import { expect, it } from "vitest";
import { ifeval } from "../../src/benchmarks/ifeval.ts";
import { follows, followsLoosely, instructionIds } from "../../src/benchmarks/instructions.ts";

const cases: [id: string, given: Record<string, unknown>, right: string[], wrong: string[]][] = [
  ["keywords:existence", { keywords: ["Sun", "moon"] }, ["the sun and the Moon"], ["the sun"]],
  ["keywords:frequency", { keyword: "go ", frequency: 2, relation: "at least" }, ["Go, going"], ["go"]],
  ["keywords:frequency", { keyword: "go", frequency: 2, relation: "less than" }, ["go"], ["go go"]],
  ["keywords:forbidden_words", { forbidden_words: ["cat"] }, ["a category"], ["A Cat."]],
  ["keywords:letter_frequency", { letter: "Q", let_frequency: 2, let_relation: "at least" }, ["qQ"], ["q"]],
  [
    "length_constraints:number_sentences",
    { num_sentences: 2, relation: "at least" },
    ["One is here. Two is there."],
    ["One is here"],
  ],
  [
    "length_constraints:number_paragraphs",
    { num_paragraphs: 2 },
    ["a\n***\nb", "a *** b\n***"],
    ["a", "a *** *** b"],
  ],
  ["length_constraints:number_words", { num_words: 3, relation: "at least" }, ["don't go"], ["go on"]],
  [
    "length_constraints:nth_paragraph_first_word",
    { num_paragraphs: 2, nth_paragraph: 2, first_word: "Well" },
    ["a\n\nwell, then", 'a\n\n"Well!" b'],
    ["well\n\na", "a\n\nwell\n\nb", "well"],
  ],
  ["detectable_content:number_placeholders", { num_placeholders: 2 }, ["[a] and [b]"], ["[a]", "[a and b"]],
  ["detectable_content:postscript", { postscript_marker: "P.S." }, ["x\nP.S. y", "p. s. y"], ["PS y"]],
  ["detectable_content:postscript", { postscript_marker: "P.P.S" }, ["P.P.S. y", "p. p. s"], ["P.S. y"]],
  [
    "detectable_format:number_bullet_lists",
    { num_bullets: 2 },
    ["* a\n* b", "- a\n  - b"],
    ["* a", "** a\n* b"],
  ],
  ["detectable_format:constrained_response", {}, [" My answer is no. "], ["No."]],
  [
    "detectable_format:number_highlighted_sections",
    { num_highlights: 2 },
    ["*a* and *b*"],
    ["*a* and **", "*a*"],
  ],
  [
    "detectable_format:multiple_sections",
    { section_spliter: "SECTION", num_sections: 2 },
    ["SECTION 1\na\nSECTION 2\nb"],
    ["Section 1 Section 2", "SECTION 1"],
  ],
  ["detectable_format:json_format", {}, ['{"a": 1}', "```json\n[1]\n```"], ["a: 1", ""]],
  ["detectable_format:title", {}, ["<<a poem>> x"], ["<a poem>", "<<>>", "<< >>"]],
  [
    "combination:two_responses",
    {},
    ["a ****** b", "******a******b"],
    ["a", "a ****** a", "a ****** ****** b"],
  ],
  ["combination:repeat_prompt", { prompt_to_repeat: "Say Hi." }, ["say hi. Hi"], ["Hi. Say hi."]],
  ["startend:end_checker", { end_phrase: "The End." }, ['x "the end."'], ["The end. x"]],
  ["startend:quotation", {}, ['"a"'], ['"', '"a" b']],
  [
    "change_case:capital_word_frequency",
    { capital_frequency: 2, capital_relation: "less than" },
    ["ONE a 12"],
    ["ONE TWO"],
  ],
  ["change_case:english_capital", {}, ["ALL OF IT, 3"], ["All", "3"]],
  ["change_case:english_lowercase", {}, ["all of it, 3"], ["All", "3"]],
  ["punctuation:no_comma", {}, ["a b"], ["a, b"]],
];

it.each(cases)("%s %j", (id, given, right, wrong) => {
  for (const reply of right) expect(follows(id, given, reply), reply).toBe(true);
  for (const reply of wrong) expect(follows(id, given, reply), reply).toBe(false);
});

it("every instruction has cases; an empty reply follows none", () => {
  expect(instructionIds.length).toBe(24);
  expect(new Set(cases.map(([id]) => id))).toEqual(new Set(instructionIds));
  for (const [id, given] of cases) expect(follows(id, given, " \n")).toBe(false);
});

it("loose takes off lines at the ends and asterisks", () => {
  const quoted = 'Sure:\n"yes"\nBye';
  expect(follows("startend:quotation", {}, quoted)).toBe(false);
  expect(followsLoosely("startend:quotation", {}, quoted)).toBe(true);
  expect(followsLoosely("startend:end_checker", { end_phrase: "end." }, "the **end**.")).toBe(true);
  expect(followsLoosely("punctuation:no_comma", {}, "a, b")).toBe(false);
});

it("a prompt counts when all is followed, instructions count one by one, other languages are left out", () => {
  const row = {
    prompt: "p",
    instruction_id_list: ["punctuation:no_comma", "startend:quotation"],
    kwargs: [{ num_words: null }, null],
  };
  const scored = Object.fromEntries(
    ifeval.metrics.map(({ name, score }) => [name, score("Well\nno commas", row)]),
  );
  expect(scored).toEqual({
    prompt_level_strict_acc: false,
    inst_level_strict_acc: [true, false],
    prompt_level_loose_acc: false,
    inst_level_loose_acc: [true, false],
  });
  expect(ifeval.leavesOut(row)).toBe(false);
  expect(ifeval.leavesOut({ ...row, instruction_id_list: ["language:response_language"] })).toBe(true);
});
