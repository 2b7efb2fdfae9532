import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  formatBytes,
  formatSeconds,
  table,
  visibleLength,
  wantsColour,
  wrapText,
} from "../../src/terminal/terminal.ts";

const red = (text: string) => `\u001b[31m${text}\u001b[39m`;

describe("wantsColour", () => {
  it.each<[string, boolean, NodeJS.ProcessEnv, string[], boolean]>([
    ["a terminal", true, {}, [], true],
    ["a pipe", false, {}, [], false],
    ["a pipe in CI", false, { CI: "true" }, [], false],
    ["NO_COLOR", true, { NO_COLOR: "1" }, [], false],
    ["an empty NO_COLOR", true, { NO_COLOR: "" }, [], true],
    ["--no-color", true, { FORCE_COLOR: "1" }, ["--no-color"], false],
    ["FORCE_COLOR", false, { FORCE_COLOR: "1" }, [], true],
    ["a dumb terminal", true, { TERM: "dumb" }, [], false],
  ])("%s", (_, isTTY, env, argv, expected) => {
    expect(wantsColour({ isTTY }, env, argv)).toBe(expected);
  });
});

describe("table", () => {
  it("pads by what is visible, aligns, and leaves no trailing spaces", () => {
    const rows = [
      [red("a"), "1", "x"],
      ["long", "22", ""],
    ];
    expect(table(rows, { align: ["left", "right"], header: ["n", "v", "note"], indent: 1 })).toBe(
      [" n      v  note", ` ${red("a")}      1  x`, " long  22"].join("\n"),
    );
  });

  it("wraps the last column under itself", () => {
    expect(table([["key", "one two three four five six seven"]], { width: 29 })).toBe(
      ["key  one two three four five", "     six seven"].join("\n"),
    );
  });
});

describe("wrapText", () => {
  it("keeps every word in order, and only a longer word breaks the width", () => {
    const word = fc.string({ minLength: 1, maxLength: 12, unit: fc.constantFrom("a", "b", "c") });
    fc.assert(
      fc.property(
        fc.array(word, { minLength: 1, maxLength: 30 }),
        fc.integer({ min: 1, max: 40 }),
        (words, width) => {
          const lines = wrapText(words.join(" "), width);
          expect(lines.join(" ")).toBe(words.join(" "));
          for (const line of lines)
            if (line.includes(" ")) expect(visibleLength(line)).toBeLessThanOrEqual(width);
          // greedy: the next word would not have fitted
          for (let i = 1; i < lines.length; i++) {
            const next = lines[i]!.split(" ")[0]!;
            expect(lines[i - 1]!.length + 1 + next.length).toBeGreaterThan(width);
          }
        },
      ),
    );
  });
});

it.each([
  [0.00123, "1.2 ms"],
  [0.0123, "12 ms"],
  [0.4567, "457 ms"],
  [0.9996, "1.00 s"],
  [3.456, "3.46 s"],
  [59.94, "59.9 s"],
  [75.2, "1 min 15 s"],
])("formatSeconds(%d)", (seconds, text) => {
  expect(formatSeconds(seconds)).toBe(text);
});

it.each([
  [0, "0 B"],
  [1023, "1023 B"],
  [1536, "1.5 KiB"],
  [10 * 1024, "10.0 KiB"],
  [200 * 1024 * 1024, "200 MiB"],
  [1010 * 1024 ** 2, "0.99 GiB"],
  [23.5 * 1024 ** 3, "23.5 GiB"],
])("formatBytes(%d)", (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});
