import { expect, it } from "vitest";
import { autoOrder, backendKinds, kindsWithKey } from "../../src/backend/options.ts";

it("prefers cards, and on each what compiles whole steps", () => {
  expect(autoOrder.map(({ kind, device }) => (device === undefined ? kind : `${kind} on ${device}`))).toEqual(
    ["xla on gpu", "tensorflow on gpu", "tfjs-node-gpu", "webgpu"].concat([
      "xla on cpu",
      "tensorflow on cpu",
      "tfjs-node",
      "wasm",
      "cpu",
    ]),
  );
});

it("knows each engine once, and which of them read a key", () => {
  expect(new Set(backendKinds).size).toBe(backendKinds.length);
  expect(kindsWithKey("threads")).toEqual(["xla", "tensorflow", "wasm"]);
  expect(kindsWithKey("precision")).toEqual(["xla"]);
  expect(kindsWithKey("cblas")).toEqual(["wasm"]);
});
