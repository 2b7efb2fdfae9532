import { describe, expect, it } from "vitest";
import { checkVersion } from "../../../src/backend/xla/pjrt/api.ts";
import {
  calls,
  type Fields,
  layoutOf,
  structs,
  TABLE_VERSION,
} from "../../../src/backend/xla/pjrt/layouts.ts";

/** Position in PJRT_Api and struct_size as a C compiler gives them from the header of TABLE_VERSION. */
const compiled: Record<keyof typeof calls, readonly [number, number]> = {
  Error_Destroy: [0, 24],
  Error_Message: [1, 40],
  Plugin_Initialize: [3, 16],
  Plugin_Attributes: [4, 32],
  Event_Destroy: [5, 24],
  Event_IsReady: [6, 25],
  Event_Await: [8, 24],
  Client_Create: [10, 88],
  Client_Destroy: [11, 24],
  Client_PlatformName: [12, 40],
  Client_PlatformVersion: [14, 40],
  Client_AddressableDevices: [16, 40],
  Client_Compile: [20, 56],
  Client_BufferFromHostBuffer: [22, 120],
  DeviceDescription_Kind: [26, 40],
  Device_GetDescription: [29, 32],
  Device_MemoryStats: [34, 201],
  Executable_Destroy: [40, 24],
  Executable_NumOutputs: [44, 32],
  Executable_SizeOfGeneratedCodeInBytes: [45, 32],
  Executable_GetCostAnalysis: [46, 40],
  Executable_OptimizedProgram: [48, 32],
  Executable_Serialize: [49, 56],
  LoadedExecutable_Destroy: [50, 24],
  LoadedExecutable_GetExecutable: [51, 32],
  LoadedExecutable_Execute: [55, 80],
  Executable_DeserializeAndLoad: [56, 72],
  Buffer_Destroy: [58, 24],
  Buffer_ToHostBuffer: [70, 56],
  Buffer_ReadyEvent: [72, 32],
  TopologyDescription_Create: [82, 56],
  TopologyDescription_Destroy: [83, 24],
  Compile: [89, 64],
  Executable_GetCompiledMemoryStats: [96, 144],
};

it("has the positions and sizes of the published header", () => {
  const ours = Object.entries(calls).map(([name, [index, fields]]) => [name, [index, layoutOf(fields).size]]);
  expect(Object.fromEntries(ours)).toEqual(compiled);
  const sizes = Object.entries(structs).map(([name, fields]) => [name, layoutOf(fields as Fields).size]);
  expect(Object.fromEntries(sizes)).toEqual({ NamedValue: 56, Program: 48, ExecuteOptions: 144 });
});

it("places small fields as C does", () => {
  const { fields, size } = layoutOf({ flag: "b", count: "i", other: "b", pointer: "p" });
  expect([...fields.values()].map(({ offset }) => offset)).toEqual([16, 20, 24, 32]);
  expect(size).toBe(40);
});

describe("a plugin's version", () => {
  const last = 40 + 8 * 97;

  it("passes when it reaches as far as our calls", () => {
    expect(() => checkVersion("p.so", 0, 81, last)).not.toThrow();
    expect(() => checkVersion("p.so", 0, TABLE_VERSION.minor + 50, 5000)).not.toThrow();
  });

  it("is refused when it is too old or of another major version, with the fix", () => {
    expect(() => checkVersion("p.so", 0, 40, last)).toThrow(
      /^p\.so: its PJRT interface is 0\.40 .*too old: 0\.81.*Fix: install a newer plugin\.$/,
    );
    expect(() => checkVersion("p.so", 0, 90, last - 8)).toThrow("too old");
    expect(() => checkVersion("p.so", 1, 2, 5000)).toThrow(
      /^p\.so: its PJRT interface is 1\.2, and only 0\.x is known .*Fix: update rlpt/,
    );
  });
});
