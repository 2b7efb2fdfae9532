import { describe, expect, it } from "vitest";
import { type SavedTensors, Slots } from "../../src/algorithms/slots.ts";
import type { NamedTensor } from "../../src/policy/interfaces.ts";

const tensor = (name: string, ...values: number[]): NamedTensor => ({
  name,
  shape: [values.length],
  data: Float32Array.from(values),
});

/** A checkpoint in memory: what `save` gave, to be opened again. */
async function checkpoint(slots: Slots) {
  const { saved, files } = await slots.save();
  const text = JSON.stringify(saved);
  const contents = new Map(
    [...files].map(([name, of]) => [name, [...of()].map((one) => ({ ...one, data: one.data.slice() }))]),
  );
  const opened: string[] = [];
  const open = (slot: string): SavedTensors => {
    opened.push(slot);
    const all = contents.get(slot)!;
    return {
      names: all.map(({ name }) => name),
      read: (name) => all.find((one) => one.name === name)!,
      close() {},
    };
  };
  return { text, contents, opened, reopen: () => new Slots(JSON.parse(text), open) };
}

describe("slots", () => {
  it("bring values and tensors back under their names, whoever asks first", async () => {
    const first = new Slots();
    const count = first.cell("count", 0);
    first.cell("table", {} as Record<string, number>).value = { a: 1 };
    const weights = tensor("w", 1, 2);
    first.tensors("weights", { save: () => [weights], load() {} });
    count.value = 7;
    const saved = await checkpoint(first);

    const second = saved.reopen();
    expect(second.cell("table", {}).value).toEqual({ a: 1 });
    expect(second.cell("count", 0).value).toBe(7);
    expect(second.cell("unknown", "new").value).toBe("new");
    const loaded: number[] = [];
    second.tensors("weights", { save: () => [], load: ({ read }) => loaded.push(...read("w").data) });
    expect(loaded).toEqual([1, 2]);
  });

  it("give one cell to all who ask under one name, and refuse two files of one name", () => {
    const slots = new Slots();
    slots.cell("same", 1).value = 2;
    expect(slots.cell("same", 1).value).toBe(2);
    slots.tensors("file", { save: () => [], load() {} });
    expect(() => slots.tensors("file", { save: () => [], load() {} })).toThrow("registered twice");
  });

  it("carry what belongs to the run through stages that do not use it, and drop the stage's own", async () => {
    const first = new Slots();
    first.cell("mine", 1);
    first.cell("ours", 5, "run");
    first.tensors("moments", { save: () => [tensor("m", 3)], load() {} });
    first.tensors("critic", { save: () => [tensor("v", 4)], load() {} }, "run");
    const saved = await checkpoint(first);

    const second = saved.reopen();
    await second.endStage();
    const carried = await checkpoint(second);
    expect(JSON.parse(carried.text)).toEqual({
      values: { run: { ours: 5 }, stage: {} },
      tensors: { run: ["critic"], stage: [] },
    });
    // the checkpoint that it came from may be gone: it is read once
    await checkpoint(second);
    expect(saved.opened).toEqual(["critic"]);

    const values: number[] = [];
    const third = carried.reopen();
    third.tensors("critic", { save: () => [], load: ({ read }) => values.push(...read("v").data) }, "run");
    expect(values).toEqual([4]);
    expect(third.cell("mine", 9).value).toBe(9);
  });

  it("hold an object's tensors on the host between two stages that use it", async () => {
    const slots = new Slots();
    const log: string[] = [];
    const use = (value: number) => {
      const weight = Float32Array.of(value);
      return slots.keep(
        "critic",
        () => ({ weight, dispose: () => log.push("disposed") }),
        (made) => ({
          save: () => [{ name: "v", shape: [1], data: made.weight }],
          load: ({ read }) => made.weight.set(read("v").data),
        }),
      );
    };
    const first = use(1);
    expect(use(9)).toBe(first);
    first.weight[0] = 5;
    await slots.endStage();
    expect(log).toEqual(["disposed"]);
    // the next stage does not use it, and its checkpoints hold it all the same
    expect([...(await checkpoint(slots)).contents.keys()]).toEqual(["critic"]);
    await slots.endStage();
    expect(use(2).weight[0]).toBe(5);
  });

  it("write the same text whatever the order of registering", async () => {
    const [a, b] = [new Slots(), new Slots()];
    a.cell("x", 1);
    a.cell("y", 2);
    b.cell("y", 2);
    b.cell("x", 1);
    expect((await checkpoint(a)).text).toBe((await checkpoint(b)).text);
  });
});
