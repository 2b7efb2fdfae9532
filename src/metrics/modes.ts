/** Metrics of a rollout by slice of the prompts, and by mode: with and without thinking. */
import { sampledCount } from "../lib/sampled.ts";
import type { ScoredCompletion } from "../types.ts";
import type { Metric, Setting } from "./define.ts";
import type { StepFacts } from "./facts.ts";
import { average, share } from "./values.ts";

type Sampled = Pick<StepFacts, "groups" | "scored" | "advantages">;

const slices = ({ slices }: Setting) => slices;
const modes = () => ["thinking", "direct"];

/** Completions of a slice such as level=3; none where the step did not draw it. */
function ofSlice({ groups, scored }: Sampled, slice: string): ScoredCompletion[] {
  const at = slice.indexOf("=");
  const [key, value] = [slice.slice(0, at), slice.slice(at + 1)];
  return scored.filter((_, p) => groups[p]!.prompt.slices[key] === value).flat();
}

/** Completions of a mode; none where the prompts know no modes. */
const ofMode = ({ scored }: Sampled, mode: string) =>
  scored.flat().filter(({ thinks }) => thinks === (mode === "thinking"));

function meanAdvantage({ scored, advantages }: Sampled, mode: string, right: boolean): number | null {
  return average(
    scored.flatMap((group, p) =>
      group.flatMap(({ thinks, correct }, g) =>
        thinks === (mode === "thinking") && correct === right ? [advantages[p]![g]!] : [],
      ),
    ),
  );
}

export const modeMetrics: readonly Metric<Sampled>[] = [
  {
    name: "slice/{slice}/thinking",
    unit: "0..1",
    formula: "completions that think / completions of the slice, such as level=3",
    note: "",
    names: slices,
    value: (facts, slice) =>
      share(ofSlice(facts, slice).flatMap(({ thinks }) => (thinks === null ? [] : [thinks]))),
  },
  {
    name: "slice/{slice}/accuracy",
    unit: "0..1",
    formula: "correct completions / completions of the slice",
    note: "",
    names: slices,
    value: (facts, slice) => share(ofSlice(facts, slice).map(({ correct }) => correct)),
  },
  {
    name: "slice/{slice}/tokens",
    unit: "tokens",
    formula: "mean completion length in the slice, end token included",
    note: "",
    names: slices,
    value: (facts, slice) => average(ofSlice(facts, slice).map(sampledCount)),
  },
  {
    name: "group/both_modes",
    unit: "0..1",
    formula: "groups that hold completions with and without thinking / P",
    note: "only these compare the modes: at 0 nothing brings a lost mode back",
    value: ({ scored }) =>
      scored.flat().every(({ thinks }) => thinks === null)
        ? null
        : share(
            scored.map((group) => [true, false].every((mode) => group.some((one) => one.thinks === mode))),
          ),
  },
  {
    name: "mode/{mode}/accuracy",
    unit: "0..1",
    formula: "correct completions / completions of the mode",
    note: "mode is thinking or direct",
    names: modes,
    value: (facts, mode) => share(ofMode(facts, mode).map(({ correct }) => correct)),
  },
  {
    name: "mode/{mode}/tokens",
    unit: "tokens",
    formula: "mean completion length of the mode",
    note: "direct growing: the reasoning has moved after </think>",
    names: modes,
    value: (facts, mode) => average(ofMode(facts, mode).map(sampledCount)),
  },
  {
    name: "mode/{mode}/reward",
    unit: "reward",
    formula: "mean weighted sum of the parts, before shaping",
    note: "",
    names: modes,
    value: (facts, mode) => average(ofMode(facts, mode).map(({ reward }) => reward)),
  },
  {
    name: "mode/{mode}/unparsed",
    unit: "0..1",
    formula: "completions of the mode without a readable answer / completions of the mode",
    note: "direct climbing: an answer left out costs less than a wrong one",
    names: modes,
    value: (facts, mode) => share(ofMode(facts, mode).map(({ status }) => status === "unparsed")),
  },
  {
    name: "mode/{mode}/advantage_right",
    unit: "-",
    formula: "mean advantage of the mode's correct completions",
    note: "below 0 for thinking: right thoughts are being unlearned",
    names: modes,
    value: (facts, mode) => meanAdvantage(facts, mode, true),
  },
  {
    name: "mode/{mode}/advantage_wrong",
    unit: "-",
    formula: "mean advantage of the mode's wrong completions",
    note: "",
    names: modes,
    value: (facts, mode) => meanAdvantage(facts, mode, false),
  },
];
