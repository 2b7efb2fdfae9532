/** Tables of docs/models.md, made from the families' declarations and the goldens that hold them. */
import { ModelFileError } from "../../src/lib/errors.ts";
import { modelFamilies } from "../../src/policy/families/kinds.ts";
import { parseModelConfig } from "../../src/policy/model-config.ts";
import { decoderGoldens, golden, loraGoldens } from "../helpers/goldens.ts";

const code = (names: Iterable<string>) => [...names].map((name) => `\`${name}\``).join(", ");

/** Goldens of each family, adapters' too. */
function goldensByFamily(): Map<string, string[]> {
  const byFamily = new Map<string, string[]>(modelFamilies.map(({ modelType }) => [modelType, []]));
  for (const name of [...decoderGoldens, ...loraGoldens]) {
    byFamily.get(golden(name).config["model_type"] as string)!.push(name);
  }
  return byFamily;
}

function familyTable(): string {
  const goldens = goldensByFamily();
  const rows = modelFamilies.map(
    ({ modelType, models, own }) =>
      `| \`${modelType}\` | ${models} | ${own} | ${code(goldens.get(modelType)!)} |`,
  );
  return ["| `model_type` | models | what is its own | goldens |", "| --- | --- | --- | --- |", ...rows].join(
    "\n",
  );
}

/** Keys that change what transformers computes: followed, and refused. */
function optionTable(): string {
  const rows = modelFamilies.map(({ modelType }) => {
    const followed = new Set<string>();
    const refused = new Set<string>();
    for (const name of decoderGoldens) {
      const { config, options } = golden(name);
      if (config["model_type"] !== modelType) continue;
      for (const { key, value, matters } of options) {
        if (!matters) continue;
        try {
          parseModelConfig({ ...config, [key]: value }, "x");
          followed.add(key);
        } catch (error) {
          if (!(error instanceof ModelFileError)) throw error;
          refused.add(key);
        }
      }
    }
    return `| \`${modelType}\` | ${code([...followed].sort())} | ${code([...refused].sort())} |`;
  });
  return ["| `model_type` | followed | refused where it differs |", "| --- | --- | --- |", ...rows].join(
    "\n",
  );
}

/** The page with its tables made anew. */
export function modelsPage(page: string): string {
  const tables = { families: familyTable(), options: optionTable() };
  return Object.entries(tables).reduce((text, [name, table]) => {
    const [begin, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
    const [from, to] = [text.indexOf(begin), text.indexOf(end)];
    if (from < 0 || to < from) throw new Error(`docs/models.md has no place for ${name}`);
    return `${text.slice(0, from)}${begin}\n\n${table}\n\n${text.slice(to)}`;
  }, page);
}
