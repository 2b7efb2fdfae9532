import * as tf from "@tensorflow/tfjs";
import { afterEach, expect, it } from "vitest";
import { startBackend } from "../../../src/backend/select.ts";
import { type NodeBinding, tensorflowBinding } from "../../../src/backend/tensorflow/binding.ts";
import { startTensorFlowLibrary } from "../../../src/backend/tensorflow/start.ts";
import { openTensorFlow } from "../../../src/backend/xla/tensorflow/library.ts";
import { tensorflowFolder, tensorflowMissing } from "../../helpers/engines.ts";
import { optionalPart } from "../../helpers/optional.ts";

const saved = { ...process.env };
afterEach(() => {
  process.env = { ...saved };
});

it("says what is missing and the command that brings it", async () => {
  process.env["RLPT_TENSORFLOW"] = "/nowhere";
  await expect(startTensorFlowLibrary()).rejects.toThrow(
    /TensorFlow's library is not here \(looked in \/nowhere, .*; rlpt backend install tensorflow/,
  );
  await expect(startBackend({ kind: "tensorflow", library: "/elsewhere" })).rejects.toThrow(
    /^backend tensorflow cannot start: .*\/elsewhere.* Fix: rlpt backend install tensorflow/,
  );
});

optionalPart(
  "TensorFlow op by op",
  tensorflowFolder() !== null,
  tensorflowMissing,
)(() => {
  const folder = tensorflowFolder()!;
  const open = () => tensorflowBinding(openTensorFlow(folder));

  it("starts as a backend, passes the self-test, and leaves no tensor behind", async () => {
    const info = await startBackend({ kind: "tensorflow", library: folder });
    expect(info).toMatchObject({ kind: "tensorflow", platform: "cpu", selfTest: { passed: true } });
    expect(info.versions["tensorflow"]).toMatch(/^2\./);
    const { binding } = tf.backend() as unknown as { binding: NodeBinding };
    const before = binding.getNumOfTensors();
    const sum = tf.tidy(() => tf.sum(tf.matMul(tf.ones([3, 4]), tf.ones([4, 2]))));
    expect((await sum.data())[0]).toBe(24);
    sum.dispose();
    expect(binding.getNumOfTensors()).toBe(before);
  });

  it("keeps every type that the kernels use", () => {
    const binding = open();
    const cases: [number, ArrayLike<number>, ArrayBufferView][] = [
      [binding.TF_FLOAT, [1.5, -2], Float32Array.of(1.5, -2)],
      [binding.TF_INT32, Float32Array.of(3, -4), Int32Array.of(3, -4)],
      [binding.TF_BOOL, [1, 0], Uint8Array.of(1, 0)],
    ];
    for (const [dtype, values, expected] of cases) {
      const id = binding.createTensor([2], dtype, values);
      expect(binding.tensorDataSync(id)).toEqual(expected);
      binding.deleteTensor(id);
      expect(() => binding.tensorDataSync(id)).toThrow("is not there any more");
    }
  });

  it("sets attributes, gives several outputs, and passes on TensorFlow's errors", () => {
    const binding = open();
    const { TF_ATTR_INT: int, TF_ATTR_TYPE: type, TF_ATTR_BOOL: bool, TF_FLOAT: float } = binding;
    const x = binding.createTensor([2, 2], float, [1, 2, 3, 4]);
    const rows = binding.executeOp(
      "Unpack",
      [
        { name: "num", type: int, value: 2 },
        { name: "axis", type: int, value: 1 },
        { name: "T", type, value: float },
      ],
      [x],
      2,
    );
    expect(rows.map(({ shape }) => shape)).toEqual([[2], [2]]);
    expect(binding.tensorDataSync(rows[1]!.id)).toEqual(Float32Array.of(2, 4));
    const product = (transposed: boolean) =>
      binding.executeOp(
        "MatMul",
        [
          { name: "transpose_a", type: bool, value: transposed },
          { name: "transpose_b", type: bool, value: false },
          { name: "T", type, value: float },
        ],
        [x, x],
        1,
      )[0]!.id;
    expect(binding.tensorDataSync(product(false))).toEqual(Float32Array.of(7, 10, 15, 22));
    expect(binding.tensorDataSync(product(true))).toEqual(Float32Array.of(10, 14, 14, 20));
    expect(() => binding.executeOp("NoSuchOperation", [], [x], 1)).toThrow(
      /^TensorFlow: NoSuchOperation: .*neither a type of a primitive operation/s,
    );
    const y = binding.createTensor([3], float, [1, 2, 3]);
    expect(() => binding.executeOp("AddV2", [{ name: "T", type, value: float }], [x, y], 1)).toThrow(
      /^TensorFlow: AddV2: .*Incompatible shapes/s,
    );
  });
});
