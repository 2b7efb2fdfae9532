/** Metrics of episodes: several turns of a policy with an environment. */
import { sampledCount } from "../lib/sampled.ts";
import type { Episode, EpisodeEnd } from "../types.ts";
import type { Metric } from "./define.ts";
import type { StepFacts } from "./facts.ts";
import { average, percent, share } from "./values.ts";

type Sampled = Pick<StepFacts, "scored">;

const ENDS: readonly EpisodeEnd[] = ["done", "turns", "tokens", "observation", "deadline", "memory", "error"];
const ends = () => ENDS;
const when: NonNullable<Metric<Sampled>["when"]> = ({ measures }) => measures.has("episodes");
const all = ({ scored }: Sampled) => scored.flat();
const episodes = (facts: Sampled): Episode[] =>
  all(facts).flatMap(({ episode }) => (episode === undefined ? [] : [episode]));

export const episodeMetrics: readonly Metric<Sampled>[] = [
  {
    name: "episode/turns",
    unit: "count",
    formula: "mean over B of the turns of an episode",
    note: "at environment.max_turns: the policy does not come to an end",
    label: "turns",
    format: (value) => value.toFixed(2),
    line: true,
    panel: { place: 51 },
    curve: { place: 35, title: "Turns of an episode", unit: "turns" },
    when,
    value: (facts) => average(episodes(facts).map(({ turns }) => turns.length)),
  },
  {
    name: "episode/environment_tokens",
    unit: "0..1",
    formula: "tokens that the environment wrote / tokens of all completions",
    note: "these carry no loss",
    when,
    value: (facts) => {
      const tokens = all(facts).reduce((sum, one) => sum + one.tokens.length, 0);
      const own = all(facts).reduce((sum, one) => sum + sampledCount(one), 0);
      return tokens === 0 ? null : 1 - own / tokens;
    },
  },
  {
    name: "episode/tool_calls",
    unit: "count",
    formula: "mean over B of the tool calls of an episode, malformed ones included",
    note: "at 0 tools are never called",
    when,
    value: (facts) =>
      average(episodes(facts).map(({ turns }) => turns.reduce((n, turn) => n + turn.toolCalls.length, 0))),
  },
  {
    name: "episode/malformed_calls",
    unit: "0..1",
    formula: "tool calls that cannot be read / tool calls",
    note: "blank where no tool is called",
    label: "bad calls",
    format: percent,
    when,
    value: (facts) =>
      share(
        episodes(facts).flatMap(({ turns }) =>
          turns.flatMap(({ toolCalls }) => toolCalls.map(({ error }) => error !== undefined)),
        ),
      ),
  },
  {
    name: "episode/end/{reason}",
    unit: "0..1",
    formula: "episodes that ended so / B",
    note: "observation, deadline, memory and error are faults of the environment, whose rewards are no scores",
    when,
    names: ends,
    value: (facts, reason) => share(episodes(facts).map(({ end }) => end === reason)),
  },
];
