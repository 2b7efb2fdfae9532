import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { trimHeap } from "../../../src/backend/xla/native.ts";

it("freed memory goes back to the kernel where the C library can", () => {
  const glibc = process.platform === "linux" && /libc\.so\.6/.test(readFileSync("/proc/self/maps", "utf8"));
  expect(trimHeap()).toBe(glibc);
});
