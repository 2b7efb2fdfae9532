import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { equalAnswers } from "../../../src/rewards/math/equal.ts";
import { normalise } from "../../../src/rewards/math/normalise.ts";
import { parseAnswer } from "../../../src/rewards/math/parse.ts";

/** Equality by reading and comparing, without the short cut for identical spellings. */
function equalsItself(answer: string): boolean {
  const spelled = normalise(answer);
  return equalAnswers(parseAnswer(spelled), parseAnswer(spelled));
}

const fixture = fileURLToPath(new URL("../../fixtures/rewards/hard-answers.json", import.meta.url));
const hard = JSON.parse(readFileSync(fixture, "utf8")) as string[];

describe("answers of the MATH training set that are hard to read", () => {
  it("has sixty of them", () => expect(hard.length).toBeGreaterThanOrEqual(60));

  it.each(hard)("%s equals itself", (answer) => {
    expect(equalsItself(answer)).toBe(true);
  });

  it("are all different from each other", () => {
    const twins: string[] = [];
    const read = hard.map((answer) => ({ answer, parsed: parseAnswer(normalise(answer)) }));
    read.forEach((a, i) => {
      for (const b of read.slice(i + 1)) {
        if (equalAnswers(a.parsed, b.parsed)) twins.push(`${a.answer} | ${b.answer}`);
      }
    });
    expect(twins).toEqual([]);
  });
});

const data = fileURLToPath(new URL("../../../../shared/data/", import.meta.url));
const pool = `${data}math8k.json`;
const test500 = `${data}benchmarks/math500.jsonl`;
const present = existsSync(pool) && existsSync(test500);
const reason = present ? "" : " (skipped: ../shared/data is not there)";

describe.skipIf(!present)(`all answers of two MATH sets${reason}`, () => {
  const read = (): string[] => [
    ...(JSON.parse(readFileSync(pool, "utf8")) as { answer: string }[]).map(({ answer }) => answer),
    ...readFileSync(test500, "utf8")
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { answer: string }).answer),
  ];

  it("equal themselves, but for the two that are empty", () => {
    const answers = read();
    expect(answers.length).toBe(9023);
    const failures = answers.filter((answer) => {
      try {
        return !equalsItself(answer);
      } catch {
        return true;
      }
    });
    expect(failures).toEqual(["", ""]);
  });

  it("differ from a changed copy of themselves", () => {
    // the last digit that is no exponent, base, index or zero goes up by one
    const changed = [...new Set(read())]
      .filter((answer) => /\d/.test(answer) && !/[a-zA-Z_^]|:/.test(answer.replace(/\\[a-zA-Z]+/g, "")))
      .map((answer) => {
        const at = answer.search(/\d(?!.*\d)/s);
        const digit = (Number(answer[at]) + 1) % 10;
        return { answer, other: `${answer.slice(0, at)}${digit}${answer.slice(at + 1)}` };
      })
      .filter(({ other }) => !/\{0\}$/.test(other));
    expect(changed.length).toBeGreaterThan(1000);
    const alike = changed.filter(({ answer, other }) =>
      equalAnswers(parseAnswer(normalise(answer)), parseAnswer(normalise(other))),
    );
    expect(alike).toEqual([]);
  });
});
