/**
 * The laboratory's configs and claims on pictures before there is a model for them: `.draft` files, which hold in all but that. They
 * lose the ending, and this test, when models/lab-pictures is there.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parse, stringify } from "yaml";
import { loadRecipe } from "../../src/config/load.ts";
import { loadClaim } from "../../src/experiments/claim.ts";
import { workspace } from "../helpers/tiny-run.ts";

const space = workspace();
afterAll(space.remove);

const drafts = (folder: string) => readdirSync(folder).filter((name) => name.endsWith(".yaml.draft"));
const configs = drafts("configs");
const claims = drafts("configs/claims");
const standIn = resolve("models/lab-items");

beforeAll(() => {
  mkdirSync(space.path("claims"), { recursive: true });
  for (const name of configs) {
    const config = parse(readFileSync(join("configs", name), "utf8"));
    config.model = { path: standIn };
    writeFileSync(space.path(name.replace(/\.draft$/, "")), stringify(config));
  }
  for (const name of claims) {
    writeFileSync(
      space.path(join("claims", name.replace(/\.draft$/, ""))),
      readFileSync(join("configs/claims", name)),
    );
  }
});

it("there are seven configs and four claims", () => {
  expect([configs.length, claims.length]).toEqual([7, 4]);
});

it.each(configs)("%s", (name) => {
  const { recipe, stages } = loadRecipe(space.path(name.replace(/\.draft$/, "")));
  expect(stages.length).toBeGreaterThanOrEqual(1);
  expect(["pictures", "scenes"]).toContain(recipe.data.eval?.kind);
});

it.each(claims)("%s", (name) => {
  const claim = loadClaim(space.path(join("claims", name.replace(/\.draft$/, ""))));
  expect(claim.options.conditions.length).toBeGreaterThanOrEqual(4);
});

it("the base's config tells of the model whose files lie ready", () => {
  const { model } = parse(readFileSync("configs/lab-base-pictures.yaml.draft", "utf8"));
  const { torch_dtype: _, ...config } = JSON.parse(
    readFileSync("models/lab-vision-init/config.json", "utf8"),
  );
  expect(model.init).toEqual(config);
  expect(model.tokenizer).toBe("../models/lab-vision-init");
});
