import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import {
  columnsOf,
  cutToWidth,
  formatBytes,
  formatSeconds,
  print,
  printDocument,
  table,
  visible,
  visibleLine,
  visibleWidth,
  wantsColour,
  wrapText,
} from "../../src/terminal/terminal.ts";
import { asciiControls } from "../../src/terminal/visible.ts";
import { command } from "../helpers/command.ts";

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

describe("text that is not ASCII", () => {
  const cjk = "\u4f60\u597d\u4e16\u754c"; // 4 characters, 8 columns
  const family = "\u{1f468}\u200d\u{1f469}\u200d\u{1f467}"; // one emoji of 2 columns
  const accented = "e\u0301"; // a combining mark

  it("has the width that a terminal shows", () => {
    expect([cjk, family, accented, red("ab"), ""].map(visibleWidth)).toEqual([8, 2, 1, 2, 0]);
    expect(cutToWidth(`${cjk}${cjk}`, 7, "~")).toBe(`${cjk.slice(0, 3)}~`);
    expect(cutToWidth(`${family}${family}`, 3, "~")).toBe(`${family}~`);
  });

  it("is wrapped anywhere where its script has no spaces", () => {
    expect(wrapText(cjk.repeat(3), 10)).toEqual([
      `${cjk}\u4f60`,
      `\u597d\u4e16\u754c\u4f60\u597d`,
      "\u4e16\u754c",
    ]);
    expect(wrapText("/a/long/path/that/stays", 10)).toEqual(["/a/long/path/that/stays"]);
  });

  it.each([80, 140])(
    "tables stay inside %d columns and in line, with names that are too long too",
    (width) => {
      const rows = [
        [`${cjk.repeat(8)}-s1`, "12", "grpo", `${family} ${cjk.repeat(20)}`],
        ["a-run-with-a-name-of-fifty-characters-or-some-more-of-them", "4", accented, "one two three"],
        ["x", "123456", "y", "z"],
      ];
      const align = ["left", "right", "left", "left"] as const;
      const lines = table(rows, { header: ["run", "steps", "kind", "note"], align, width }).split("\n");
      for (const line of lines) expect(visibleWidth(line)).toBeLessThanOrEqual(width);
      // digits of the second column end at one place
      const ends = lines.flatMap((line) => {
        const at = / (12|4|123456) {2}/.exec(line);
        return at === null ? [] : [visibleWidth(line.slice(0, at.index + at[0].length - 2))];
      });
      expect(ends).toHaveLength(3);
      expect(new Set(ends).size).toBe(1);
      // nothing is lost
      const squeezed = lines.join("").replaceAll(/\s/g, "");
      expect(squeezed).toContain("one");
      for (const character of "fiftychrtsomemth") expect(squeezed).toContain(character);
    },
  );
});

describe("what a terminal would obey", () => {
  const hostile = "\u001b]0;title\u0007\u001b[2J\u009b31m\r\u202eok\u007f\tend\n";

  it("is shown as characters", () => {
    expect(visible(hostile)).toBe("\\x1b]0;title\\x07\\x1b[2J\\x9b31m\\r\\u202eok\\x7f\tend\n");
    expect(visibleLine("a\n\tb")).toBe("a\\n\\tb");
  });

  it("is not in JSON, which holds the same value", () => {
    const json = asciiControls(JSON.stringify({ hostile }));
    expect(JSON.parse(json)).toEqual({ hostile });
    expect(json).not.toMatch(/[^ -~]/);
  });

  it("is not in a table, where colours of ours stay", () => {
    const text = table([[red("a"), `${hostile}x`]], { width: 200 });
    expect(text).toContain(red("a"));
    expect(text.replaceAll(red("a"), "")).not.toMatch(/[^ -~\n\t]/);
  });

  it("leaves nothing of the control ranges, whatever comes", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(visible(text)).not.toMatch(/[^\P{Cc}\n\t]/u);
        expect(visible(visible(text))).toBe(visible(text));
      }),
    );
  });

  it("does not reach the terminal by an error, a note or a result of a command", async () => {
    const name = "\u001b[2Jx";
    const { err } = await command("train", `${name}.yaml`);
    expect(err).toContain("\\x1b[2Jx.yaml");
    expect(err).not.toContain("\u001b[2J");
    const unknown = await command(`${name}`);
    expect(unknown.err).not.toContain("\u001b[2J");
  });
});

it("a terminal of 0 columns counts as one that does not say", () => {
  expect([columnsOf({ columns: 0 }, 80), columnsOf({}, 80), columnsOf({ columns: 40 }, 80)]).toEqual([
    80, 80, 40,
  ]);
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
            if (line.includes(" ")) expect(visibleWidth(line)).toBeLessThanOrEqual(width);
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

it("steers nothing by words, though they go to a file; a document keeps every byte there", () => {
  const written: string[] = [];
  const write = vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    written.push(String(text));
    return true;
  });
  try {
    print("run \u001b[2J\u202e\u001b[31m");
    printDocument("name: \u202e");
  } finally {
    write.mockRestore();
  }
  expect(written).toEqual(["run \\x1b[2J\\u202e\\x1b[31m\n", "name: \u202e\n"]);
});
