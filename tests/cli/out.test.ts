/** Where output goes is `--out` for every command; the names before it still work, and are not shown. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { createProgram } from "../../src/cli/main.ts";
import { command } from "../helpers/command.ts";
import { tinyGrpo, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

const config = space.write("tiny.yaml", tinyGrpo);

it.each([
  ["train", "--run-dir"],
  ["pipeline", "--root"],
  ["reproduce", "--root"],
])("rlpt %s shows --out, and takes %s", (name, former) => {
  const found = createProgram().commands.find((one) => one.name() === name)!;
  expect(found.options.map(({ long }) => long)).toEqual(expect.arrayContaining(["--out", former]));
  const help = found.helpInformation();
  expect(help).toContain("--out <dir>");
  expect(help).not.toContain(`${former} `);
});

it("no command has another name for the folder that it writes", () => {
  const shown = createProgram().commands.flatMap((one) =>
    [one, ...one.commands].flatMap((each) => {
      const flags = each.options.filter(({ hidden }) => !hidden).map(({ long }) => long ?? "");
      return flags
        .filter((flag) => /^--(run-dir|root|output|out-dir|dest)/.test(flag))
        .map((flag) => `${each.name()} ${flag}`);
    }),
  );
  expect(shown).toEqual([]);
});

it("both names lead into the folder that is given, one at a time", async () => {
  for (const flag of ["--out", "--run-dir"]) {
    const folder = space.path(`by ${flag}`);
    const done = await command("train", config, flag, folder, "--steps", "1", "--quiet", "--backend", "wasm");
    expect(done.status, done.err).toBe(0);
    expect(existsSync(join(folder, "metrics.csv"))).toBe(true);
  }
  const both = await command("train", config, "--out", space.path("a"), "--run-dir", space.path("b"));
  expect(both.status).toBe(2);
  expect(both.err).toContain("cannot be used with");
});

it("rlpt export takes --out, or the folder as its second word, but one of them", async () => {
  const run = space.path("by --out");
  expect((await command("export", run, "--out", space.path("x"))).status).toBe(0);
  expect((await command("export", run, space.path("y"))).status).toBe(0);
  for (const folder of ["x", "y"])
    expect(existsSync(join(space.path(folder), "model.safetensors"))).toBe(true);
  for (const args of [[], [space.path("z"), "--out", space.path("w")]]) {
    const none = await command("export", run, ...args);
    expect([none.status, none.err]).toEqual([2, expect.stringContaining("needs one place to write to")]);
  }
});
