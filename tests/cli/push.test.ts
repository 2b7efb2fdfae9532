/** `rlpt push` against a server that speaks the Hub's protocol, and back from it. */
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, it, vi } from "vitest";
import { command } from "../helpers/command.ts";
import { startHubServer } from "../helpers/hub-server.ts";
import { tinyGrpo, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
const hub = await startHubServer();
afterAll(() => {
  hub.close();
  space.remove();
});
const run = space.path("run");
const exported = space.path("exported");

beforeAll(async () => {
  const config = space.write("tiny.yaml", tinyGrpo.replace("steps: 4", "steps: 2"));
  expect((await command("train", config, "--out", run, "--quiet")).status).toBe(0);
  expect((await command("export", run, "--out", exported)).status).toBe(0);
}, 60_000);

beforeEach(() => {
  vi.stubEnv("HF_TOKEN", "hf_writer");
  vi.stubEnv("HF_HUB_OFFLINE", undefined);
  vi.stubEnv("HF_ENDPOINT", hub.url);
  vi.stubEnv("HF_HUB_CACHE", space.path("hub"));
  Object.assign(hub, { breaks: 0, sent: [], created: [] });
  for (const map of [hub.models, hub.stored]) map.clear();
});

/** What arrived but for the card is, to the byte, what `rlpt export` writes. */
function arrivedWhole(name: string) {
  const files = hub.models.get(name)!;
  expect([...files.keys()].filter((path) => path !== "README.md").sort()).toEqual(
    readdirSync(exported).sort(),
  );
  for (const path of readdirSync(exported))
    expect(Buffer.compare(files.get(path)!, readFileSync(join(exported, path))), path).toBe(0);
}

it("what was pushed of a run comes back by its name, to the byte", async () => {
  const pushed = await command("push", run, "me/tiny", "--private", "--revision", "trial");
  expect(pushed.status, pushed.err).toBe(0);
  expect(pushed.out + pushed.err).not.toContain("hf_writer");
  expect(hub.created).toMatchObject([
    { name: "tiny", organization: "me", type: "model", visibility: "private" },
  ]);
  arrivedWhole("me/tiny");
  const card = Buffer.from(hub.models.get("me/tiny")!.get("README.md")!).toString();
  expect(card).toContain("the weights are those of step 2");
  expect(card).toMatch(/clopper[\s\S]*pushed by rlpt \d+\.\d+/);

  const back = await command("export", "me/tiny@trial", "--out", space.path("back"));
  expect(back.status, back.err).toBe(0);
  const weights = (folder: string) => readFileSync(join(folder, "model.safetensors"));
  expect(Buffer.compare(weights(space.path("back")), weights(exported))).toBe(0);

  const directory = await command("push", exported, "me/again");
  expect(directory.status, directory.err).toBe(0);
  arrivedWhole("me/again");
});

it("goes on at the third attempt; after three it ends, and the same command goes on", async () => {
  hub.breaks = 2;
  const third = await command("push", run, "me/tiny");
  expect(third.status, third.err).toBe(0);
  expect(third.err.match(/the connection broke/g)).toHaveLength(2);
  arrivedWhole("me/tiny");
  hub.models.clear();
  hub.stored.clear();
  hub.breaks = 3;
  const broken = await command("push", run, "me/tiny");
  expect(broken.status).toBe(1);
  expect(broken.err).toContain("broke 3 times");
  expect(broken.err).toContain("the same command goes on from there");
  expect((await command("push", run, "me/tiny")).status).toBe(0);
  arrivedWhole("me/tiny");
});

it("refuses with reason and fix", async () => {
  const refused = async (token: string | undefined, ...args: string[]) => {
    vi.stubEnv("HF_TOKEN", token);
    const { status, out, err } = await command("push", ...args);
    expect(status).not.toBe(0);
    if (token) expect(out + err).not.toContain(token);
    return err;
  };
  expect(await refused(undefined, run, "me/tiny")).toContain("export HF_TOKEN");
  expect(await refused("secret", run, "me/tiny")).toContain("does not begin with hf_");
  expect(hub.sent).toEqual([]);
  expect(await refused("hf_unknown", run, "me/tiny")).toContain("HF_TOKEN is not valid there");
  expect(await refused("hf_reader", run, "me/tiny")).toContain("may not write to me/tiny");
  expect(await refused("hf_writer", run, "tiny")).toContain("give organisation/name");
  mkdirSync(space.path("empty"));
  expect(await refused("hf_writer", space.path("empty"), "me/tiny")).toContain("no model directory");
  mkdirSync(space.path("begun"));
  space.write("begun/recipe.yaml", readFileSync(join(run, "recipe.yaml"), "utf8"));
  const begun = await refused("hf_writer", space.path("begun"), "me/tiny");
  expect(begun).toContain("there is nothing to push; train on");
});

it("--dry-run sends nothing and needs no token", async () => {
  vi.stubEnv("HF_TOKEN", undefined);
  const dry = await command("push", run, "me/tiny", "--dry-run");
  expect(dry.status, dry.err).toBe(0);
  expect(dry.out).toContain("library_name: transformers");
  expect(dry.out).toMatch(/model\.safetensors {2}[\d,]+ bytes/);
  const card = space.path("card.md");
  const filed = await command("push", run, "me/tiny", "--dry-run", "--card", card);
  expect(filed.out).not.toContain("library_name");
  expect(dry.out).toContain(readFileSync(card, "utf8").trimEnd());
  vi.stubEnv("HF_TOKEN", "max_position_embeddings");
  const held = await command("push", run, "me/tiny", "--dry-run");
  expect(held.err).toContain("holds the value of HF_TOKEN");
  expect(held.out).toBe("");
  expect(hub.sent).toEqual([]);
});
