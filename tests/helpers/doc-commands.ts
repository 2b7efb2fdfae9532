/** Shell blocks of the documentation, and what their hidden markers say about running them. */

export interface DocBlock {
  /** Line of the opening fence, from 1. */
  line: number;
  /** What stands in the block. */
  script: string;
  /** Why it is not run; null when it is. */
  skip: string | null;
  /** Environment variable without which it is not run; null for none. */
  needs: string | null;
  /** Commands that make what the block takes for granted. */
  before: readonly string[];
  /** An address that answers once the block is at work, which then goes on until its page ends; null where it ends itself. */
  background: string | null;
  /** Words added to every `rlpt` of the block, to make it shorter. */
  add: string;
}

/** Fences that hold commands. Others, such as yaml or plain output, are not run. */
const SHELL = new Set(["sh", "bash", "shell", "console", "zsh"]);
const MARKER = /^<!-- test: (skip|needs|before|background|add): (.+) -->$/;

/**
 * A block is fenced with ```sh. Lines right above it may say, unseen by readers:
 * `<!-- test: skip: why -->`, `<!-- test: needs: VARIABLE -->`, `<!-- test: before: command -->`,
 * `<!-- test: background: address -->`, `<!-- test: add: words -->`.
 * @throws Error for a marker that belongs to no block, and for shell fences of another name
 */
export function docBlocks(name: string, markdown: string): DocBlock[] {
  const lines = markdown.split("\n");
  const blocks: DocBlock[] = [];
  let markers: { kind: string; value: string }[] = [];
  for (let i = 0; i < lines.length; i++) {
    const at = `${name}:${i + 1}`;
    const line = lines[i]!;
    const marker = MARKER.exec(line);
    if (marker !== null) {
      markers.push({ kind: marker[1]!, value: marker[2]! });
      continue;
    }
    if (line.startsWith("<!-- test")) throw new Error(`${at}: is no marker that the test knows: ${line}`);
    const fence = /^(`{3,})\s*(\w*)/.exec(line);
    if (fence === null) {
      if (markers.length > 0 && line.trim() !== "")
        throw new Error(`${at}: a marker must stand above a block`);
      continue;
    }
    const end = lines.findIndex((other, j) => j > i && other.startsWith(fence[1]!));
    if (end < 0) throw new Error(`${at}: the block does not end`);
    const language = fence[2]!;
    if (SHELL.has(language)) {
      if (language !== "sh") throw new Error(`${at}: fence commands with \`\`\`sh, so that they are tested`);
      const values = (kind: string) => markers.filter((one) => one.kind === kind).map(({ value }) => value);
      blocks.push({
        line: i + 1,
        script: lines.slice(i + 1, end).join("\n"),
        skip: values("skip")[0] ?? null,
        needs: values("needs")[0] ?? null,
        before: values("before"),
        background: values("background")[0] ?? null,
        add: values("add").join(" "),
      });
    } else if (markers.length > 0) throw new Error(`${at}: a marker must stand above a \`\`\`sh block`);
    else if (language === "" && lines.slice(i + 1, end).some((text) => /^(\$ )?(npx )?rlpt /.test(text)))
      throw new Error(`${at}: looks like commands; fence them with \`\`\`sh`);
    markers = [];
    i = end;
  }
  return blocks;
}
