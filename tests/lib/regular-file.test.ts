import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { afterAll, expect, it } from "vitest";
import { isFolder } from "../../src/lib/regular-file.ts";
import { command } from "../helpers/command.ts";
import { tinyGrpo, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

it("a path that no file can have is no folder", () => {
  mkdirSync(space.path("folder"));
  writeFileSync(space.path("file"), "");
  symlinkSync(space.path("loop"), space.path("loop"));
  expect(isFolder(space.path("folder"))).toBe(true);
  for (const path of ["file", "nowhere", "file/below", "loop", "x".repeat(5000), "a\0b"])
    expect(isFolder(space.path(path)), path.slice(0, 20)).toBe(false);
});

it("such a path in a config is a fault with its place", async () => {
  const long = "[".repeat(20_000);
  const file = space.write(
    "long.yaml",
    tinyGrpo.replace(/(train:\s*\{)[^}]*\}/, `$1 kind: file, path: "/dev${long}" }`),
  );
  const { status, out } = await command("validate", file);
  expect(status).toBe(2);
  expect(out).toContain("data.train.path");
  expect(out).not.toContain("unexpected error");
});
