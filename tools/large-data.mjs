// Trains the laboratory's model from a small and a large file of the same rows and prints what each took at most:
//   node tools/large-data.mjs 1000 [folder]
// The first number is the large file's megabytes. Plain JSONL, then the same by gzip, which is stored as lines first.
import { execFileSync } from "node:child_process";
import {
  createWriteStream,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";

const megabytes = Number(process.argv[2] ?? 1000);
const parent = process.argv[3] ?? tmpdir();
mkdirSync(parent, { recursive: true });
const folder = mkdtempSync(join(parent, "rlpt-large-data-"));

/** Rows of about a kilobyte, most of it a column that no template reads. */
function* rows(bytes) {
  for (let i = 0, written = 0; written < bytes; i++) {
    const [a, b, c] = [i % 10, Math.floor(i / 10) % 10, Math.floor(i / 100) % 10];
    const notes = `row ${i}: ${"the quick brown fox ".repeat(45)}`;
    const line = `${JSON.stringify({ id: i, question: `${a}+${b}*${c}=`, answer: String(((a + b) * c) % 10), notes })}\n`;
    written += line.length;
    yield line;
  }
}

function train(name, path) {
  const run = join(folder, `run-${name}`);
  const config = join(folder, `${name}.yaml`);
  writeFileSync(
    config,
    `extends: ${join(import.meta.dirname, "../configs/quickstart.yaml")}
steps: 3
data:
  train: { kind: file, path: ${path}, prompt: "{question}<think>\\n", id: id, chat: false }
  eval: { kind: chain, levels: [1], size: 8 }
`,
  );
  execFileSync(
    process.execPath,
    ["bin/rlpt.js", "train", config, "--run-dir", run, "--quiet", "--backend", "wasm"],
    { stdio: ["ignore", "inherit", "inherit"], env: { ...process.env, RLPT_CACHE: join(folder, "cache") } },
  );
  const usage = JSON.parse(readFileSync(join(run, "usage.json"), "utf8"));
  const size = statSync(path).size / 1e6;
  process.stdout.write(
    `${name}: ${size.toFixed(0)} MB of data, at most ${(usage.peak_rss_bytes / 1e6).toFixed(0)} MB of memory\n`,
  );
}

try {
  for (const [name, bytes] of [
    ["small", 1e6],
    ["large", megabytes * 1e6],
  ]) {
    const path = join(folder, `${name}.jsonl`);
    await pipeline(Readable.from(rows(bytes)), createWriteStream(path));
    train(name, path);
  }
  const packed = join(folder, "packed.jsonl.gz");
  await pipeline(Readable.from(rows(megabytes * 1e6)), createGzip({ level: 1 }), createWriteStream(packed));
  train("packed", packed);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
