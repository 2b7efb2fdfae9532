/** Bootcamps: cases that their own solution solves, hand-made cases with right and wrong answers, and who may see which case. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bootcampOf, bootcamps } from "../../src/bootcamps/kinds.ts";
import { bootcampSource } from "../../src/data/bootcamp.ts";
import { bootcampOptions } from "../../src/data/bootcamp-options.ts";
import { createRng } from "../../src/lib/rng.ts";

const names = bootcamps.map(({ name }) => name);
const of = (name: string) => bootcampOf(name)!;
const usual = (name: string) => of(name).difficulty.parse({});

describe.each(names)("%s", (name) => {
  const bootcamp = of(name);
  const cases = Array.from({ length: 300 }, (_, i) => bootcamp.draw(createRng(7).fork(name, i), usual(name)));

  it("draws cases that its own answers solve, and that JSON keeps", () => {
    for (const identity of cases) {
      const stored = JSON.parse(JSON.stringify(identity));
      expect(bootcamp.identity.parse(stored)).toEqual(identity);
      const { answer } = bootcamp.solve(identity);
      expect(bootcamp.verify(answer, stored), `${JSON.stringify(identity)} ${answer}`).toBe(true);
      expect(bootcamp.verify(` ${answer}\n`, stored)).toBe(true);
    }
  });

  it("takes no empty answer, and no answer with a sign more", () => {
    for (const identity of cases.slice(0, 50)) {
      const { answer } = bootcamp.solve(identity);
      for (const wrong of ["", "?", "x", `${answer}x`, `x${answer}`])
        expect(bootcamp.verify(wrong, identity), `${JSON.stringify(identity)} ${wrong}`).toBe(false);
    }
  });

  it("says of any text whether it is an answer, without an exception", () => {
    const pieces = [
      "=",
      "(",
      "-",
      "1",
      " ",
      "\n",
      "Ann",
      " is",
      " a ",
      "knight",
      ",",
      "+",
      "U",
      "0x",
      "🂡",
      "9".repeat(400),
      "[",
    ];
    const text = fc.array(fc.constantFrom(...pieces), { maxLength: 400 }).map((list) => list.join(""));
    const long = [" ", "(", "=", "1", "Ann ", "-", "1+"].map((piece) => piece.repeat(50_000));
    for (const answer of [...fc.sample(text, { numRuns: 200, seed: 1 }), ...long])
      expect(bootcamp.verify(answer, cases[0]), answer.slice(0, 80)).toBe(false);
  });

  it("draws the same case from the same stream, different ones from others, and hard ones too", () => {
    const draw = (i: number) => JSON.stringify(bootcamp.draw(createRng(7).fork(name, i), usual(name)));
    expect(draw(3)).toBe(JSON.stringify(cases[3]));
    expect(new Set(cases.map((one) => JSON.stringify(one))).size).toBeGreaterThan(30);
    expect(new Set(cases.map((one) => bootcamp.brief(one))).size).toBe(
      new Set(cases.map((one) => bootcamp.prompt(one))).size,
    );
  });
});

/** Case, right answers, wrong answers. */
const examples: Record<string, [object, string[], string[]][]> = {
  arithmetic: [
    [{ left: 700, operator: "+", right: 345 }, ["1045", "1,045", "+1045"], ["1046", "1045.5", "-1045"]],
    [{ left: 3, operator: "-", right: 10 }, ["-7"], ["7"]],
    [{ left: 12, operator: "*", right: 12 }, ["144"], ["24"]],
  ],
  boolean: [
    [{ expression: "!(T&F)" }, ["true", "True", "T"], ["false", "not true"]],
    [{ expression: "((T|F)&!T)" }, ["false"], ["true"]],
  ],
  "base-conversion": [
    [{ number: 10, from: 10, to: 2 }, ["1010", "0b1010", "00001010"], ["10", "0101"]],
    [{ number: 255, from: 10, to: 16 }, ["ff", "FF", "0xff"], ["fe", "255"]],
  ],
  bits: [
    [{ bits: "1100", operation: "invert" }, ["0011"], ["1100"]],
    [{ bits: "1101", operation: "reverse" }, ["1011"], ["1101"]],
    [{ bits: "11010", operation: "rotate", by: 2 }, ["01011"], ["10110"]],
    [{ bits: "1100", operation: "xor", mask: "1010" }, ["0110", "01 10"], ["1001"]],
  ],
  caesar: [
    [{ word: "zebra", shift: 1 }, ["afcsb", "AFCSB"], ["zebra"]],
    [{ word: "afcsb", shift: -1 }, ["zebra"], ["bgdtc"]],
  ],
  dyck: [[{ given: "([{}" }, ["])", " ] )"], [")]", "]", "])]"]]],
  "knights-and-knaves": [
    [
      {
        statements: [
          { about: 1, says: "knave" },
          { about: 0, says: "alike" },
        ],
      },
      ["Ann knight, Ben knave", "Ben is a knave and Ann is a knight."],
      ["Ann knave, Ben knight", "Ann knight", "Ann knight, Ben knave, Ann knave", "knight, knave"],
    ],
  ],
  letters: [[{ words: ["apple", "plum"], letter: "p" }, ["3"], ["2", "three"]]],
  "object-counting": [
    [
      {
        things: [
          { name: "cat", count: 2 },
          { name: "fig", count: 5 },
          { name: "owl", count: 1 },
        ],
        asked: "animals",
      },
      ["3"],
      ["8", "5"],
    ],
  ],
  sequence: [
    [{ rule: "constant-step", terms: [3, 7, 11] }, ["15"], ["14"]],
    [{ rule: "growing-step", terms: [1, 3, 7, 13] }, ["21"], ["19"]],
    [{ rule: "factor", terms: [2, 6, 18] }, ["54"], ["30"]],
    [{ rule: "sum-of-two", terms: [2, 5, 7, 12] }, ["19"], ["17"]],
  ],
  // two fillings are right here: 1 and 2 may change places in two rows
  sudoku: [
    [
      { grid: "..3434..21434321" },
      ["1234 3412 2143 4321", "1234341221434321"],
      ["2134 3412 2143 4321", "1234 3412 2143", "1234 3412 2143 4312"],
    ],
    [{ grid: "1234341221434321" }, ["1234 3412 2143 4321"], ["2143 4321 1234 3412"]],
  ],
  weekday: [
    [{ today: 0, days: 45 }, ["Thursday", "thursday."], ["Friday"]],
    [{ today: 0, days: -1 }, ["Sunday"], ["Tuesday"]],
  ],
  "word-sorting": [
    [{ words: ["oak", "fig", "ash"] }, ["ash fig oak", "ash, fig, oak"], ["ash oak fig", "ash fig"]],
  ],
  game24: [
    [
      { numbers: [3, 3, 8, 8], target: 24 },
      ["8/(3-8/3)", "8 ÷ (3 − 8 ÷ 3) = 24"],
      ["3*8", "8*3*(8-3)", "24", "8/(3-8/3)+0", "8/(3-3)", "38-8-3", "((8/(3-8/3)", "8**3"],
    ],
  ],
  maze: [
    [
      { rows: ["..#", "#..", "..."] },
      ["RDRD", "r d d r", "RDDR"],
      ["RRDD", "RDR", "DDRR", "RDRDD", "LRRDRD"],
    ],
  ],
  coins: [[{ coins: [1, 5, 8], total: 15 }, ["5 5 5", "5+5+5"], ["8 5", "8 8", "15", "5 5 5 0", "-1 8 8"]]],
};

it("has hand-made cases of every bootcamp", () => {
  expect(Object.keys(examples).sort()).toEqual([...names].sort());
});

describe.each(Object.entries(examples))("%s by hand", (name, list) => {
  it.each(list)("%j", (identity, right, wrong) => {
    const bootcamp = of(name);
    const parsed = bootcamp.identity.parse(identity);
    for (const answer of right) expect(bootcamp.verify(answer, parsed), answer).toBe(true);
    for (const answer of wrong) expect(bootcamp.verify(answer, parsed), answer).toBe(false);
  });
});

it("a way with a detour earns half, and coins more than needed their share", () => {
  const rows = { rows: ["...", "...", "..."] };
  expect(of("maze").verify("RRDD", rows)).toBe(true);
  expect(of("maze").verify("RLRRDD", rows)).toBe(0.5);
  expect(of("coins").verify("8 5 1 1", { coins: [1, 5, 8], total: 15 })).toBe(3 / 4);
});

it("riddles have one solution, and a verifier throws for what is no case", () => {
  for (let i = 0; i < 100; i++) {
    const { statements } = of("knights-and-knaves").draw(createRng(3).fork(i), { people: 3 }) as {
      statements: { about: number; says: string }[];
    };
    const fits = (kinds: boolean[]) =>
      statements.every(({ about, says }, speaker) => {
        const claim =
          says === "alike" ? kinds[about] === kinds[speaker] : kinds[about] === (says === "knight");
        return claim === kinds[speaker];
      });
    const all = Array.from({ length: 8 }, (_, bits) => [1, 2, 4].map((bit) => (bits & bit) > 0));
    expect(all.filter(fits)).toHaveLength(1);
  }
  expect(() => of("dyck").verify(")", { given: ")(" })).toThrow("closes what is not open");
  expect(() => of("boolean").verify("true", { expression: "(T&" })).toThrow("is no expression");
  expect(() => of("coins").solve({ coins: [2], total: 3 })).toThrow("no coins");
});

describe("as a dataset", () => {
  const options = (extra: object = {}) => bootcampOptions.parse({ kind: "bootcamp", ...extra });

  it("no case stands in training and in evaluation", () => {
    const seen = (split: "train" | "eval", count: number) => {
      const source = bootcampSource(options({ size: count }), split, 1);
      return new Set(
        Array.from({ length: count }, (_, i) => {
          const { data_source, identity } = source.at(i).fields;
          return JSON.stringify([data_source, identity]);
        }),
      );
    };
    const train = seen("train", 3000);
    const shared = [...seen("eval", 1000)].filter((one) => train.has(one));
    expect(shared).toEqual([]);
  });

  it("tasks come by their weights; a prompt is its index's alone; an endless stream moves with the run's seed", () => {
    const source = bootcampSource(
      options({ size: 4000, tasks: [{ name: "letters", weight: 3 }, { name: "dyck" }] }),
      "train",
      1,
    );
    const count = Array.from({ length: 4000 }, (_, i) => source.at(i)).filter(
      ({ slices }) => slices["task"] === "letters",
    ).length;
    // 3000 expected, standard deviation 27
    expect(Math.abs(count - 3000)).toBeLessThan(110);
    const endless = (seed: number) => bootcampSource(options(), "train", seed).at(5);
    expect(endless(1)).toEqual(endless(1));
    expect(endless(1)).not.toEqual(endless(2));
  });

  it("the wording says how a case is put, and the target begins where the prompt ends", () => {
    const at = (extra: object) =>
      bootcampSource(
        options({ tasks: [{ name: "letters", difficulty: { words: 1 } }], ...extra }),
        "eval",
        1,
      ).at(0);
    expect(at({}).input).toMatchObject({
      kind: "chat",
      messages: [{ role: "user", content: expect.stringMatching(/^How often.*\nThink step by step/s) }],
    });
    expect(at({ wording: "text", ask: "\n" }).input).toMatchObject({
      kind: "text",
      text: expect.stringMatching(/a number\.\n$/),
    });
    expect(at({ wording: "brief", ask: "<think>\n" })).toMatchObject({
      input: { kind: "text", text: expect.stringMatching(/^[a-z] in [a-z]+:<think>\n$/) },
      target: expect.stringMatching(/^<\/think>\[answer\]\d\[\/answer\]$/),
    });
    expect(at({ wording: "brief" }).target).toMatch(/^<think>\n<\/think>\[answer\]\d\[\/answer\]$/);
  });

  it("a difficulty whose few cases all belong to training is refused by name, before one is drawn", () => {
    const few = options({
      tasks: [{ name: "sequence", difficulty: { rules: ["factor"], terms: 5, largest: 2 } }],
    });
    expect(bootcampSource(few, "train", 1).at(0).fields["data_source"]).toBe("bootcamp/sequence");
    expect(() => bootcampSource(few, "eval", 1)).toThrow(/bootcamp sequence: 10000 cases in a row/);
  });

  it("faults have their place: an unknown task, a difficulty out of range, a task twice", () => {
    const faults = (tasks: object[]) =>
      bootcampOptions.safeParse({ kind: "bootcamp", tasks }).error?.issues.map(({ path }) => path.join("."));
    expect(faults([{ name: "game25" }])).toEqual(["tasks.0.name"]);
    expect(faults([{ name: "dyck", difficulty: { length: 900 } }])).toEqual(["tasks.0.difficulty.length"]);
    expect(faults([{ name: "dyck", difficulty: { length: [9, 4] } }])).toEqual(["tasks.0.difficulty.length"]);
    expect(faults([{ name: "dyck" }, { name: "dyck" }])).toEqual(["tasks"]);
  });
});
