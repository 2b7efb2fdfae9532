import { afterAll, describe, expect, it } from "vitest";
import { dataModule } from "../../../src/lib/worker-entry.ts";
import { DeadlineWorker } from "../../../src/rewards/deadline-worker.ts";
import { gradeMath } from "../../../src/rewards/math/grade.ts";
import { closeGrader, gradeAnswers } from "../../../src/rewards/math/grader.ts";

afterAll(closeGrader);

describe("the math thread", () => {
  it("gives the verdicts of the grader, in order", async () => {
    const pairs = [
      { candidate: "\\frac{2}{4}", gold: "0.5" },
      { candidate: "3", gold: "4" },
      { candidate: "x+x", gold: "2x" },
      { candidate: "\\foo{3}", gold: "2x" },
      { candidate: "3", gold: "\\foo{3}" },
      { candidate: "", gold: "2x" },
      { candidate: "\\frac{2}{4}", gold: "0.5" },
    ];
    const verdicts = await gradeAnswers(pairs, 5000);
    expect(verdicts).toEqual(pairs.map(gradeMath));
    expect(verdicts.map(({ equal, status }) => [equal, status])).toEqual([
      [true, "ok"],
      [false, "ok"],
      [true, "ok"],
      [false, "unparsed"],
      [false, "error"],
      [false, "unparsed"],
      [true, "ok"],
    ]);
  });

  it("grades thousands of answers in seconds", async () => {
    const pairs = Array.from({ length: 4000 }, (_, i) => ({
      candidate: `\\frac{${i}x+${i}}{2}`,
      gold: `\\frac{${i}(x+1)}{${i % 2 === 0 ? 2 : 3}}`,
    }));
    const verdicts = await gradeAnswers(pairs, 5000);
    expect(verdicts.map(({ equal }) => equal)).toEqual(pairs.map((_, i) => i % 2 === 0));
  }, 20_000);
});

describe("malicious and absurd answers end quickly, without a deadline", () => {
  const deep = (open: string, close: string): string => `${open.repeat(500)}x${close.repeat(500)}`;
  const texts = [
    "9^{9^{9^9}}",
    "9^{-9^{9^9}}",
    "10^{10000000000}",
    "99999999!",
    "((9!)!)!",
    "\\binom{99999999}{4444444}",
    "1e999999999",
    "2^{50000}+2^{49999}",
    "(x+1)^{100000}",
    "x^{x^{x^{x}}}",
    deep("(", ")"),
    deep("\\sqrt{", "}"),
    deep("{", "}"),
    "(".repeat(1900),
    "-".repeat(1900),
    "\\pm".repeat(300),
    "1,".repeat(900),
    `\\{${"x+1,".repeat(400)}1\\}`,
    "1+".repeat(900),
    "\\boxed{".repeat(200),
    "9".repeat(100_000),
    "\\frac".repeat(300),
    " ".repeat(100_000),
    "$".repeat(5000),
    `${"a ".repeat(900)}cm`,
    "\\text{".repeat(300),
    "\\int_0^\\infty e^{-x}dx",
    "constructor",
    "__proto__",
    "x".repeat(1500),
  ];
  it.each(texts.map((text) => [text.length > 40 ? `${text.slice(0, 40)}...` : text, text]))(
    "%s",
    (_, text) => {
      const start = performance.now();
      expect(gradeMath({ candidate: text!, gold: "7" }).equal).toBe(false);
      expect(gradeMath({ candidate: text!, gold: "x+1" }).equal).toBe(false);
      expect(gradeMath({ candidate: text!, gold: "1,2" }).equal).toBe(false);
      gradeMath({ candidate: "x+2", gold: text! });
      expect(performance.now() - start).toBeLessThan(2500);
    },
  );
});

describe("what is too much is said", () => {
  it.each([
    [`${"(".repeat(200)}x${")".repeat(200)}`, /nested too deeply/],
    [`x${"+x".repeat(1500)}`, /has 3001 characters; at most 2000/],
    ["99999999!", /factorial/],
  ])("%#", (candidate, reason) => {
    const verdict = gradeMath({ candidate, gold: "7" });
    expect(verdict.status).toBe("unparsed");
    expect(verdict.note).toMatch(reason);
  });
});

describe("the deadline", () => {
  // counts its tasks; a negative one never ends
  const code = dataModule(`
    import { parentPort } from "node:worker_threads";
    parentPort.on("message", ({ index, task }) => {
      while (task < 0) {}
      if (task === 13) throw new Error("unlucky");
      if (task === 14) { const hoard = []; for (;;) hoard.push(new Array(1e5).fill(task)); }
      parentPort.postMessage({ index, value: 2 * task });
    });
    parentPort.postMessage({ ready: "here" });
  `);

  it("gives up one task, not its neighbours, and goes on in a new thread", async () => {
    const worker = new DeadlineWorker<number, number>(async () => code, "wall");
    expect(await worker.start()).toBe("here");
    expect(await worker.run([1, -1, 3, 13, 5], 3000)).toEqual([
      { kind: "done", value: 2 },
      { kind: "timeout" },
      { kind: "done", value: 6 },
      { kind: "failed", message: "unlucky" },
      { kind: "done", value: 10 },
    ]);
    expect(await worker.run([], 300)).toEqual([]);
    await worker.close();
  });

  it("takes a task that waits for a processor for no slow one, and ends one that computes without end", async () => {
    const waits = dataModule(`
      import { parentPort } from "node:worker_threads";
      parentPort.on("message", ({ index, task }) => {
        while (task < 0) {}
        setTimeout(() => parentPort.postMessage({ index, value: task }), task);
      });
      parentPort.postMessage({ ready: null });
    `);
    // 300 ms pass, of which next to none are spent: as for a thread that a busy machine lets wait
    const worker = new DeadlineWorker<number, number>(async () => waits, "processor");
    expect(await worker.run([300], 100)).toEqual([{ kind: "done", value: 300 }]);
    expect(await worker.run([-1], 100)).toEqual([{ kind: "timeout" }]);
    await worker.close();
    const strict = new DeadlineWorker<number, number>(async () => waits, "wall");
    expect(await strict.run([300], 100)).toEqual([{ kind: "timeout" }]);
    await strict.close();
  });

  it("survives a task that fills the memory", async () => {
    const worker = new DeadlineWorker<number, number>(async () => code, "wall");
    const [hoarded, next] = await worker.run([14, 2], 20_000);
    expect(hoarded!.kind).toBe("failed");
    expect(next).toEqual({ kind: "done", value: 4 });
    await worker.close();
  });

  it("keeps batches apart that are asked for at once", async () => {
    const worker = new DeadlineWorker<number, number>(async () => code, "wall");
    const [a, b] = await Promise.all([worker.run([1, 2], 1000), worker.run([3], 1000)]);
    expect([...a, ...b].map((each) => each.kind === "done" && each.value)).toEqual([2, 4, 6]);
    await worker.close();
  });
});
