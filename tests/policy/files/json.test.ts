import fc from "fast-check";
import { expect, test } from "vitest";
import { duplicateTopLevelKey, jsonFaultAt, parseJsonObject } from "../../../src/policy/files/json.ts";

test.each<[string, number]>([
  ['{"a": nope}', 6],
  ['{"a": 1,}', 8],
  ['{"a" 1}', 5],
  ['{"a": [1, 2}', 11],
  ['{"a": 1', 7],
  ['{"a": "x', 6],
  ["{} {}", 3],
  ["[1,,2]", 3],
  ['{"a": 01}', 7],
  ["{'a': 1}", 1],
])("the fault in %s is at %d", (text, at) => {
  expect(() => JSON.parse(text)).toThrow();
  expect(jsonFaultAt(text)).toBe(at);
});

test("valid JSON has no fault", () => {
  fc.assert(
    fc.property(fc.json(), fc.constantFrom(0, 1, 4), (json, indent) => {
      const text = JSON.stringify(JSON.parse(json), null, indent);
      expect(jsonFaultAt(text)).toBe(text.length);
    }),
  );
});

test("duplicate keys count in the outermost object only", () => {
  expect(duplicateTopLevelKey('{"a": {"b": 1}, "c": {"b": 2}}')).toBeNull();
  expect(duplicateTopLevelKey('{"a": [{"a": 1}, "a", {"a": "\\"a\\": "}], "b": "a"}')).toBeNull();
  expect(duplicateTopLevelKey('{"a": 1, "\\u0061": 2}')).toBe("a");
});

test("bytes that are not UTF-8 are refused", () => {
  expect(() => parseJsonObject(Uint8Array.of(0x7b, 0xff, 0x7d), "config.json")).toThrow(
    /config.json is not UTF-8/,
  );
});
