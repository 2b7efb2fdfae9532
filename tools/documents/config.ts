/** Text of docs/config.md, from the recipe's schema. `node tools/write-config-docs.mjs` writes it. */
import { builtInMethods } from "../../src/config/methods.ts";
import { recipeJsonSchema } from "../../src/config/schema.ts";
import { expectedWords, type JsonSchema, kindOf, variants } from "../../src/config/schema-tree.ts";

const introduction = `# Config

<!-- Made by \`node tools/write-config-docs.mjs\` from the option schemas; edit those, not this file. -->

A config is one YAML file. \`rlpt validate config.yaml\` says whether it is right and otherwise everything that is
wrong with it, each with its line, value, reason and fix; \`rlpt train config.yaml --dry-run\` prints it with every
default filled in. Exit status 2 means that the config is wrong; nothing was loaded.

- **Start from one that works:** \`rlpt recipes ls\`, then \`rlpt recipes cp quickstart my.yaml\`.
- **\`extends: other.yaml\`** lays the file over another one (relative to it, or a shipped config). Maps are merged key by
  key, lists and values replaced, a map with another \`kind\` replaced as a whole. \`key: null\` takes an optional key
  away again.
- **\`--set rollout.group_size=4\`** changes one key for one run; the value is YAML, a list entry is \`rewards.0.weight\`,
  and later ones win. \`--steps\`, \`--seed\`, \`--backend\` and \`--name\` are short for the keys they name.
- **Paths** are looked for beside the file that holds them, then in the working directory, then among what comes with
  rlpt; those of \`--set\` begin at the working directory. A resolved recipe has absolute paths.
- **Nothing is accepted and ignored:** an unknown key is refused with the nearest name, and so is a key that could have
  no effect.
`;

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}

function shownDefault(schema: JsonSchema, required: boolean): string {
  if (schema.default === undefined) return required ? "**required**" : "";
  const value = schema.default;
  const whole = Array.isArray(value) ? schema.items?.enum?.length === value.length : false;
  if (whole) return "all of them";
  return `\`${cell(JSON.stringify(value))}\``;
}

/** The plain map of an optional or defaulted section, or null when the key is a leaf. */
function isSection(schema: JsonSchema): boolean {
  return schema.properties !== undefined;
}

function rows(schema: JsonSchema, prefix: string, required: ReadonlySet<string>): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, child]) => {
    const name = prefix === "" ? key : `${prefix}.${key}`;
    if (key === "kind" && child.const !== undefined) return [];
    const need = required.has(key) && child.default === undefined;
    const inner = isSection(child) ? child : variants(child).find((each) => isSection(each) && !kindOf(each));
    const heading = child.description ?? "";
    const what = inner && inner === child ? "section" : expectedWords(child);
    const own = `| \`${name}\` | ${cell(what)} | ${inner === child ? (need ? "**required**" : "") : shownDefault(child, need)} | ${cell(heading)} |`;
    const entry = child.items && isSection(child.items) && !kindOf(child.items) ? child.items : null;
    if (entry !== null) return [own, ...rows(entry, `${name}.N`, new Set(entry.required ?? []))];
    // members of a list that are of several kinds, which have tables of their own: what all of them have besides
    if (child.items && hasKinds(child.items)) {
      const [first, ...others] = variants(child.items).map((each) =>
        rows(each, `${name}.N`, new Set(each.required ?? [])),
      );
      return [own, ...first!.filter((row) => others.every((other) => other.includes(row)))];
    }
    // a choice inside of a section: what each kind has, named by it
    if (hasKinds(child)) {
      const parts = variants(child).flatMap((each) =>
        rows(each, name, new Set(each.required ?? [])).map((row) => withKind(row, kindOf(each)!)),
      );
      return [own, ...parts];
    }
    return inner ? [own, ...rows(inner, name, new Set(inner.required ?? []))] : [own];
  });
}

/** Its meaning begins with the kind that has it. */
function withKind(row: string, kind: string): string {
  const at = row.lastIndexOf(" | ") + 3;
  return `${row.slice(0, at)}${kind}: ${row.slice(at)}`;
}

function tableOf(schema: JsonSchema, prefix: string): string {
  return tableText(rows(schema, prefix, new Set(schema.required ?? [])));
}

function tableText(lines: readonly string[]): string {
  if (lines.length === 0) return "No options of its own.\n";
  return ["| key | value | default | meaning |", "|---|---|---|---|", ...lines, ""].join("\n");
}

/** One table for what all kinds share, then one for each kind. */
function kindsOf(schema: JsonSchema, prefix: string): string {
  const all = variants(schema).map((variant) => ({
    kind: kindOf(variant),
    rows: rows(variant, prefix, new Set(variant.required ?? [])),
  }));
  const shared =
    all.length < 3 ? [] : all[0]!.rows.filter((row) => all.every((each) => each.rows.includes(row)));
  const parts = all.map(({ kind, rows: own }) => {
    const table = tableText(own.filter((row) => !shared.includes(row)));
    return `### ${prefix} with kind: ${kind}\n\n${table}`;
  });
  return (shared.length > 0 ? [`### ${prefix} of every kind\n\n${tableText(shared)}`, ...parts] : parts).join(
    "\n",
  );
}

/** Is it a union of kinds, as data, rewards and algorithm are? */
function hasKinds(schema: JsonSchema): boolean {
  return variants(schema).length > 0 && variants(schema).every((variant) => kindOf(variant) !== null);
}

function section(key: string, schema: JsonSchema, required: boolean): string {
  const title = `## \`${key}\`\n\n${schema.description ?? ""}${required ? " (required)" : ""}.\n`;
  if (hasKinds(schema)) return `${title}\n${kindsOf(schema, key)}`;
  if (schema.items && hasKinds(schema.items)) return `${title}\n${kindsOf(schema.items, `${key}.N`)}`;
  if (key === "data") {
    const train = schema.properties?.["train"];
    const evaluation = schema.properties?.["eval"];
    const parts = `- \`data.train\`: ${train?.description} (required)\n- \`data.eval\`: ${evaluation?.description}\n`;
    return `${title}\n${parts}\n${kindsOf(train!, "data.*")}`;
  }
  if (schema.items && isSection(schema.items)) return `${title}\n${tableOf(schema.items, `${key}.N`)}`;
  return `${title}\n${tableOf(schema, key)}`;
}

/** @returns the whole file */
export function configDocs(): string {
  const schema = recipeJsonSchema();
  const required = new Set(schema.required ?? []);
  const all = Object.entries(schema.properties ?? {});
  const simple = all.filter(
    ([, child]) =>
      !isSection(child) &&
      !hasKinds(child) &&
      !(child.items && (hasKinds(child.items) || isSection(child.items))),
  );
  const rest = all.filter((entry) => !simple.includes(entry));
  const top = tableOf({ properties: Object.fromEntries(simple), required: [...required] }, "");
  const methods = [...builtInMethods].map(([name, method]) => `\`${name}\` (${method.summary})`).join(", ");
  return [
    introduction,
    `## Top level\n\n${top}\nNames for \`recipe\`: ${methods}.\n`,
    ...rest.map(([key, child]) => section(key, child, required.has(key))),
  ]
    .join("\n")
    .replaceAll(/\n{3,}/g, "\n\n");
}
