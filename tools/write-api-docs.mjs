/**
 * docs/api.md: what the library exports, from the docstrings. `npm run docs:api` writes it; a test holds it to the sources.
 * It reads the declarations that the compiler emits, whose form is regular; see docs/decisions/0017-library.md.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { emitTypes } from "./pack.mjs";

const root = fileURLToPath(new URL("../", import.meta.url));

/** Sections of src/index.ts, by its comments, and the names that each exports with their files. */
function exportsOf(index) {
  const sections = [];
  for (const block of index
    .slice(index.indexOf("*/") + 2)
    .matchAll(/^\/\/ (.+)$|^export (type )?\{([^}]*)\} from "\.\/(.+?)\.ts";/gm)) {
    const [, title, , list, file] = block;
    if (title !== undefined) sections.push({ title, names: [] });
    else {
      const names = list.split(",").map((name) => name.trim().replace(/^type /, ""));
      for (const name of names.filter((one) => one !== "")) sections.at(-1).names.push({ name, file });
    }
  }
  return sections;
}

/** Where a declaration that begins at `start` ends: at the brace that closes it, or at its semicolon. */
function endOf(text, start, braced) {
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    // a docstring's apostrophes and braces are none of the code's
    if (text.startsWith("/*", at)) at = text.indexOf("*/", at) + 1;
    else if ("([{".includes(text[at])) depth++;
    else if (")]}".includes(text[at]) && --depth === 0 && braced) return at + 1;
    else if (text[at] === ";" && depth === 0) return at + 1;
  }
  throw new Error(`a declaration does not end: ${text.slice(start, start + 80)}`);
}

/** @returns the docstring and the declaration of a name in a .d.ts */
function declarationOf(text, name) {
  const found = new RegExp(
    `^(?:export )?(?:declare )?(?:abstract )?(function|interface|type|class|const) ${name}\\b`,
    "m",
  ).exec(text);
  if (found === null) throw new Error(`${name} is declared in no form that is known here`);
  const before = text.slice(0, found.index);
  const doc = /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\s*$/.exec(before)?.[1] ?? "";
  const braced = found[1] === "interface" || found[1] === "class";
  const code = text
    .slice(found.index, endOf(text, found.index, braced))
    .replace(/^(export )?(declare )?/, "");
  return { kind: found[1], doc: doc.replaceAll(/^\s*\* ?/gm, "").trim(), code };
}

/** A docstring as Markdown: its text, then parameters, results and errors as a list. */
function markdownOf(doc) {
  const [text, ...tags] = doc.split(/^(?=@(?:param|returns|throws))|(?<=\s)(?=@(?:param|returns|throws) )/m);
  const plain = (part) =>
    part
      .replaceAll(/\s+/g, " ")
      .replaceAll(/\{@link (\w+)\}/g, "`$1`")
      .trim();
  const list = tags.map((tag) => {
    const [, kind, rest] = /^@(\w+)\s+([\s\S]*)$/.exec(tag);
    if (kind === "param") return `- ${plain(rest).replace(/^(\S+)/, "`$1`:")}`;
    return `- ${kind}: ${plain(rest)}`;
  });
  return [plain(text), list.join("\n")].filter((part) => part !== "").join("\n\n");
}

/** Text of docs/api.md. @throws Error naming a function or a class that has no docstring */
export function apiDocs() {
  const index = readFileSync(join(root, "src", "index.ts"), "utf8");
  const folder = mkdtempSync(join(tmpdir(), "rlpt-api-"));
  try {
    emitTypes(folder);
    const pages = exportsOf(index).map(({ title, names }) => {
      const entries = names.map(({ name, file }) => {
        const { kind, doc, code } = declarationOf(readFileSync(join(folder, `${file}.d.ts`), "utf8"), name);
        if (doc === "" && (kind === "function" || kind === "class")) {
          throw new Error(`src/${file}.ts: ${name} is exported and has no docstring`);
        }
        // a schema's type says nothing by itself, and its keys are those of a config
        const shown = /\bz\.infer</.test(code) ? "" : `\`\`\`ts\n${code}\n\`\`\``;
        const keys = shown === "" ? "Keys and defaults as in a [config](config.md)." : "";
        return [`### ${name}`, markdownOf(doc), keys, shown].filter((part) => part !== "").join("\n\n");
      });
      return [`## ${title[0].toUpperCase()}${title.slice(1)}`, ...entries].join("\n\n");
    });
    const head =
      "# Exports of the library\n\nWritten by `npm run docs:api` from the docstrings; [library.md](library.md) shows how they are used. " +
      "`tf` is TensorFlow.js, the copy that policies compute with.\n\n" +
      "Letters in shapes: P prompts of a step, G completions of each, B = P G rows, S tokens of a prompt, T of a completion, " +
      "K scored tokens of a batch, V ids of the vocabulary.";
    return `${[head, ...pages].join("\n\n")}\n`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(join(root, "docs", "api.md"), apiDocs());
}
