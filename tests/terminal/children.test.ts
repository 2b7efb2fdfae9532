import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { followChildren } from "../../src/terminal/children.ts";
import { visibleWidth } from "../../src/terminal/layout.ts";
import { tinyGrpo } from "../helpers/tiny-run.ts";

const root = mkdtempSync(join(tmpdir(), "rlpt-children-"));
beforeAll(() => writeFileSync(join(root, "recipe.yaml"), tinyGrpo));
afterAll(() => rmSync(root, { recursive: true, force: true }));

function setUp(isTTY: boolean, columns = 80) {
  const written: string[] = [];
  const clock = { now: 0 };
  const stream = { write: (text: string) => written.push(text), isTTY, columns };
  const children = followChildren({ stream, now: () => clock.now, interval: 0 });
  return { children, clock, written };
}

/** What was written last, after what moves the cursor. */
const drawn = (written: readonly string[]): string => written.at(-1)!.split("\u001b[0J").at(-1)!;

const header = "step,stage,reward/mean,accuracy,time/step_s,time/eval_s,time/elapsed_s\n";

test("a line each, drawn in its place: waiting, how far, how long; gone when it has ended", () => {
  const { children, clock, written } = setUp(true);
  rmSync(join(root, "metrics.csv"), { force: true });
  children.begin("arm-a-s1", root);
  children.begin("eval of a", null);
  clock.now = 12;
  children.look();
  expect(written.at(-1)).toBe("\r\u001b[2A\u001b[0Jarm-a-s1   starting, 12s\neval of a  starting, 12s\n");
  writeFileSync(join(root, "metrics.csv"), `${header}1,grpo,0.25,0.5,2,,2\n2,grpo,0.5,0.5,2,10,14\n`);
  children.look();
  // 2 steps of 2 s, one evaluation of 10 s
  expect(drawn(written).split("\n")[0]).toBe(
    "arm-a-s1   ========........  2/4  14s left  2.0 s/step  reward 0.500  accuracy~",
  );
  children.note("eval of a: done");
  expect(written.at(-1)).toContain("0Jeval of a: done\narm-a-s1 ");
  children.end("arm-a-s1");
  children.end("eval of a");
  expect(written.at(-1)).toBe("\r\u001b[1A\u001b[0J");
  children.close();
});

test.each([20, 40, 80, 140])("never wider than %d columns, whatever the names", (columns) => {
  const { children, written } = setUp(true, columns);
  children.begin("\u4f60\u597d-and-a-very-long-name-of-an-arm-that-goes-on\u001b[2J-s1", root);
  children.look();
  for (const line of drawn(written).split("\n")) {
    expect(visibleWidth(line)).toBeLessThan(columns === 20 ? 21 : columns);
    expect(line).not.toContain("\u001b");
  }
  children.close();
});

test("plain lines where there is no terminal: nothing moves", () => {
  const { children, written } = setUp(false);
  writeFileSync(join(root, "metrics.csv"), `${header}1,grpo,0.25,0.5,2,,2\n2,grpo,0.5,0.5,2,10,14\n`);
  children.begin("a", root);
  expect(written).toEqual([]);
  children.look();
  children.note("n");
  children.end("a");
  children.close();
  expect(written.join("")).not.toContain("\u001b");
  expect(written).toEqual([expect.stringMatching(/^a {2}=+\.* {2}2\/4 .*\n$/), "n\n"]);
});
