import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it, vi } from "vitest";
import { openFileDataset } from "../../src/data/file-dataset.ts";
import { fileOptions } from "../../src/data/file-options.ts";
import { splitFiles } from "../../src/data/hub-dataset.ts";
import { DataError } from "../../src/lib/errors.ts";
import type { DownloadProgress, HubOptions } from "../../src/lib/hub/repository.ts";
import { COMMIT, startHubServer } from "../helpers/hub-server.ts";

const root = mkdtempSync(join(tmpdir(), "rlpt-hub-data-"));
const hub = await startHubServer();
afterAll(() => {
  hub.close();
  rmSync(root, { recursive: true, force: true });
});
beforeEach(() => {
  for (const name of ["HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_HUB_CACHE"])
    vi.stubEnv(name, undefined);
  Object.assign(hub, { requests: [], cuts: [], damaged: null });
  hub.gated.clear();
});

const golden = (name: string) =>
  new Uint8Array(readFileSync(join(import.meta.dirname, "../golden/data", name)));
const text = (content: string) => new TextEncoder().encode(content);
const row = (prompt: string) => text(`${JSON.stringify({ prompt, answer: "1" })}\n`);
const many = golden("many-dictionary-zstd.parquet");
// as openai/gsm8k lies there
hub.datasets.set(
  "org/sums",
  new Map([
    [
      "README.md",
      text(
        "---\nlicense: mit\nconfigs:\n- config_name: main\n  data_files:\n  - split: train\n    path: main/train-*\n  - split: test\n    path: main/test-*\n- config_name: socratic\n  data_files: socratic/*.jsonl\n---\n# Sums\n",
      ),
    ],
    ["main/train-00000-of-00001.parquet", many],
    ["main/test-00000-of-00001.parquet", golden("many-lz4.parquet")],
    ["socratic/a.jsonl", row("why?")],
    [".gitattributes", text("*")],
  ]),
);

let made = 0;
const freshCache = () => join(root, `cache${made++}`);
const open = async (options: object, more: HubOptions) =>
  openFileDataset(fileOptions.parse({ kind: "file", path: "hf://org/sums", ...options }), {
    hub: { hubUrl: hub.url, cacheDir: freshCache(), ...more },
  });
const failure = async (options: object, more: HubOptions = {}) => {
  const error: unknown = await open(options, more).catch((each: unknown) => each);
  expect(error).toBeInstanceOf(DataError);
  return (error as Error).message;
};
const main = { hub: { config: "main" }, id: "id" };
const downloads = () =>
  hub.requests.filter(({ path, range }) => path.startsWith("/cdn/") && range !== "bytes=0-0");

describe("a dataset on the Hub", () => {
  it("is fetched by its card into the Hub's cache, with progress, and needs no download again", async () => {
    const cacheDir = freshCache();
    const progress: DownloadProgress[] = [];
    const dataset = await open(main, { cacheDir, onProgress: (event) => progress.push(event) });
    expect(dataset.size).toBe(1000);
    expect(dataset.at(3)).toMatchObject({ id: "3", answer: "12" });
    const storage = join(cacheDir, "datasets--org--sums");
    expect(readFileSync(join(storage, "refs/main"), "utf8")).toBe(COMMIT);
    // nothing but what the split needs
    expect(readdirSync(join(storage, "snapshots", COMMIT, "main"))).toEqual(["train-00000-of-00001.parquet"]);
    expect(progress.at(-1)).toEqual({
      file: "main/train-00000-of-00001.parquet",
      bytes: many.length,
      total: many.length,
    });
    hub.requests.length = 0;
    await open(main, { cacheDir, offline: true });
    expect(hub.requests).toEqual([]);
    const test = await open({ ...main, hub: { config: "main", split: "test" } }, { cacheDir });
    expect(test.files[0]!.path).toContain("main/test-00000-of-00001.parquet");
    expect((await open({ hub: { config: "socratic" } }, { cacheDir })).size).toBe(1);
  });

  it("goes on where a download broke off, three times", async () => {
    hub.cuts = [1000, 2000];
    const dataset = await open(main, {});
    expect(dataset.size).toBe(1000);
    expect(downloads().map(({ range }) => Number(/bytes=(\d+)/.exec(range ?? "bytes=0")![1]))).toEqual([
      0, 1000, 3000,
    ]);
  });

  it("ends clearly when it breaks off again, keeps what there is, and a later run goes on from there", async () => {
    const cacheDir = freshCache();
    hub.cuts = [1000, 500, 250];
    expect(await failure(main, { cacheDir })).toMatch(
      new RegExp(
        `^org/sums: main/train-00000-of-00001\\.parquet broke off at 1750 of ${many.length} bytes .*run again to go on from there$`,
      ),
    );
    hub.requests.length = 0;
    expect((await open(main, { cacheDir })).size).toBe(1000);
    expect(downloads().map(({ range }) => range)).toEqual([`bytes=1750-${many.length - 1}`]);
  });

  it("that arrives damaged is not kept", async () => {
    const cacheDir = freshCache();
    hub.damaged = Uint8Array.from(many, (byte, i) => (i === 500 ? byte ^ 1 : byte));
    expect(await failure(main, { cacheDir })).toMatch(
      /arrived damaged: its sha256 is .*it was deleted, run again/,
    );
    const blobs = readdirSync(join(cacheDir, "datasets--org--sums/blobs"));
    expect(blobs.filter((name) => name.endsWith(".incomplete") || name.length === 64)).toEqual([]);
  });

  it("is said to be gated, missing, or out of reach", async () => {
    hub.gated.set("org/sums", "hf_right");
    expect(await failure(main)).toMatch(
      /^org\/sums@main: .* answered 403: the dataset is private, gated or misspelled; accept its terms on the site and set HF_TOKEN/,
    );
    expect((await open(main, { accessToken: "hf_right" })).size).toBe(1000);
    expect(await failure({ path: "hf://org/none" })).toMatch(
      /^org\/none@main: .* answered 404: there is no such dataset or revision/,
    );
    expect(await failure({ hub: { config: "main", revision: "v9" } }, { accessToken: "hf_right" })).toMatch(
      /^org\/sums@v9: .* answered 404/,
    );
    const cacheDir = freshCache();
    expect(await failure(main, { cacheDir, hubUrl: "http://127.0.0.1:9" })).toMatch(
      /127\.0\.0\.1:9 cannot be reached \(.*\), and it is not in the cache .*datasets--org--sums; connect, or fetch the dataset's files by hand/,
    );
    expect(await failure(main, { cacheDir, offline: true })).toContain("HF_HUB_OFFLINE forbids fetching it");
    expect(existsSync(join(cacheDir, "datasets--org--sums/snapshots"))).toBe(false);
  });

  it("of which another part is in the cache is not taken for the one that is asked for", async () => {
    const cacheDir = freshCache();
    await open(main, { cacheDir });
    expect(
      await failure({ ...main, hub: { config: "main", split: "test" } }, { cacheDir, offline: true }),
    ).toContain("org/sums@main is not in the cache");
  });
});

describe("which files a split is", () => {
  const files = (list: readonly string[], part: object = {}, card = "") => {
    try {
      return splitFiles("hf://o/d", list, card, { split: "train", ...part } as never, undefined);
    } catch (error) {
      return (error as Error).message;
    }
  };
  it("is told by names and folders where there is no card", () => {
    const flat = ["README.md", "train.jsonl", "dev.jsonl", "dataset_info.json"];
    expect(files(flat)).toEqual(["train.jsonl"]);
    expect(files(flat, { split: "validation" })).toEqual(["dev.jsonl"]);
    expect(files(flat, { split: "test" })).toBe(
      "hf://o/d: it has no split test. Set hub.split to one of train, validation.",
    );
    const shards = [
      "data/train-00001-of-00002.parquet",
      "data/train-00000-of-00002.parquet",
      "data/test-00000-of-00001.parquet",
    ];
    expect(files(shards)).toEqual([shards[1], shards[0]]);
    expect(files(["data/easy-00000.parquet", "data/train-00000.parquet"], { split: "easy" })).toEqual([
      "data/easy-00000.parquet",
    ]);
    expect(files(["en/train/0000.parquet", "de/train/0000.parquet"], { config: "de" })).toEqual([
      "de/train/0000.parquet",
    ]);
    expect(files(["rows.csv", "notes.json"])).toEqual(["rows.csv"]);
    // "trains" and "contest" name no split
    expect(files(["trains.csv"])).toEqual(["trains.csv"]);
    expect(files(["contest.csv"])).toEqual(["contest.csv"]);
  });
  it("is told by the card's patterns, and what is missing is named", () => {
    const card = (configs: string) => `---\nconfigs:\n${configs}---\n`;
    const two = card(
      '- config_name: a\n  data_files: "a/**/*.{jsonl,csv}"\n- config_name: b\n  data_files:\n  - split: train\n    path: [b/x?.csv]\n',
    );
    const list = ["a/one.csv", "a/deep/two.jsonl", "a/no.txt", "b/x1.csv", "b/x12.csv"];
    expect(files(list, { config: "a" }, two)).toEqual(["a/deep/two.jsonl", "a/one.csv"]);
    expect(files(list, { config: "b" }, two)).toEqual(["b/x1.csv"]);
    expect(files(list, {}, two)).toBe(
      "hf://o/d: it has several configurations. Set hub.config to one of a, b.",
    );
    expect(files(list, { config: "c" }, two)).toBe(
      "hf://o/d: it has no configuration c. Set hub.config to one of a, b.",
    );
    expect(files(list, {}, two.replace("config_name: b", "config_name: b\n  default: true"))).toEqual([
      "b/x1.csv",
    ]);
    expect(files(["script.py"])).toBe(
      "hf://o/d: it has no .jsonl, .json, .csv or .parquet files, only script.py. Choose a dataset with such files, or its revision refs/convert/parquet.",
    );
    expect(files(["script.py"], {}, card("- config_name: default\n  data_files: x.csv\n"))).toContain(
      "no file that can be read is x.csv",
    );
  });
});

it("paths and keys that name no dataset are refused", () => {
  const faults = (options: object) =>
    fileOptions.safeParse({ kind: "file", ...options }).error?.issues.map(({ message }) => message);
  expect(faults({ path: "hf://name" })).toEqual([
    "names no dataset; write hf://organisation/name, and config, split and revision under hub",
  ]);
  expect(faults({ path: "a.csv", hub: {} })).toEqual([
    "path names no dataset on the Hub; write hf://organisation/name",
  ]);
  expect(faults({ path: "hf://org/name", hub: { split: "test" } })).toBeUndefined();
});
