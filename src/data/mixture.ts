/**
 * Several datasets as one. Without weights their rows follow one another. With weights prompt number p comes from the source that
 * lags furthest behind its share (stride scheduling), so that shares are exact to a row in every beginning of the stream; each
 * source is gone through in epochs, every epoch in an order of its own. All of it is a function of p and the seed, so that a
 * resumed run goes on exactly.
 */
import { DataError } from "../lib/errors.ts";
import { createRng, type Rng } from "../lib/rng.ts";
import type { Prompt, PromptSource } from "../types.ts";
import { bootcamp } from "./bootcamp.ts";
import { chain } from "./chain.ts";
import { coop } from "./coop.ts";
import { type DatasetKind, defineDataset, type OpenContext } from "./define.ts";
import { file } from "./file.ts";
import { imageFolder } from "./image-folder.ts";
import { items } from "./items.ts";
import { type MemberOptions, type MixtureOptions, memberName, mixtureOptions } from "./mixture-options.ts";
import { pictures } from "./pictures.ts";
import { scenes } from "./scenes.ts";

interface Member {
  name: string;
  source: PromptSource;
  weight: number | undefined;
}

export const mixture = defineDataset({
  kind: "mixture",
  options: mixtureOptions,
  pool: ({ size }) => ({ key: "size", size }),
  slices: ({ sources }) => ["source", ...new Set(sources.flatMap((set) => kindOf(set).slices(set)))],
  members: ({ sources }) => sources,
  files: async ({ sources }) => (await Promise.all(sources.map((set) => kindOf(set).files(set)))).flat(),
  open: openMixture,
});

async function openMixture({ sources, size }: MixtureOptions, context: OpenContext): Promise<PromptSource> {
  const members: Member[] = [];
  for (const set of sources) {
    members.push({ name: memberName(set), source: await kindOf(set).open(set, context), weight: set.weight });
  }
  const name = members.map((member) => member.name).join(" + ");
  if (members[0]!.weight === undefined) return concatenation(name, members);
  const draw = weighted(members, createRng(context.seed).fork("mixture", context.split));
  if (size === undefined) return { name, size: null, at: draw.at };
  draw.check(size);
  return { name, size, at: draw.at };
}

function kindOf({ kind }: MemberOptions): DatasetKind<typeof mixtureOptions, MemberOptions> {
  const kinds = [chain, items, pictures, scenes, bootcamp, file, imageFolder, coop];
  return kinds.find((one) => one.kind === kind) as never;
}

function promptOf({ name, source }: Member, index: number): Prompt {
  const prompt = source.at(index);
  return { ...prompt, id: `${name}/${prompt.id}`, slices: { source: name, ...prompt.slices } };
}

function concatenation(name: string, members: readonly Member[]): PromptSource {
  const ends: number[] = [];
  for (const { name: member, source } of members) {
    if (source.size === null)
      throw new DataError(
        `${member}: it has no end, so nothing can follow it. Give each source of the mixture a weight, or it a size.`,
      );
    ends.push((ends.at(-1) ?? 0) + source.size);
  }
  return {
    name,
    size: ends.at(-1)!,
    at(index) {
      const member = ends.findIndex((end) => index < end);
      return promptOf(members[member]!, index - (ends[member - 1] ?? 0));
    },
  };
}

function weighted(members: readonly Member[], rng: Rng) {
  const total = members.reduce((sum, { weight }) => sum + weight!, 0);
  const shares = members.map(({ weight }) => weight! / total);
  /** Member of each prompt of the stream, and how many of that member come before it. */
  const picks: { member: number; nth: number }[] = [];
  const taken = members.map(() => 0);
  const pick = (position: number) => {
    while (picks.length <= position) {
      let furthest = 0;
      const lag = (member: number) => shares[member]! * (picks.length + 1) - taken[member]!;
      // rounding must not decide between sources that lag alike
      for (let member = 1; member < members.length; member++)
        if (lag(member) > lag(furthest) + 1e-9) furthest = member;
      picks.push({ member: furthest, nth: taken[furthest]!++ });
    }
    return picks[position]!;
  };
  /** The newest epoch's order of each member: a stream goes forward. */
  const orders = new Map<number, { epoch: number; order: number[] }>();
  const orderOf = (member: number, epoch: number, size: number): number[] => {
    const known = orders.get(member);
    if (known?.epoch === epoch) return known.order;
    const order = rng.fork(members[member]!.name, epoch).permutation(size);
    orders.set(member, { epoch, order });
    return order;
  };
  return {
    at(position: number): Prompt {
      const { member, nth } = pick(position);
      const { size } = members[member]!.source;
      const index = size === null ? nth : orderOf(member, Math.floor(nth / size), size)[nth % size]!;
      return promptOf(members[member]!, index);
    },
    /** @throws DataError where a source has fewer rows than its share of `count` */
    check(count: number): void {
      pick(count - 1);
      for (const [member, { name, source }] of members.entries()) {
        const asked = picks.slice(0, count).filter((one) => one.member === member).length;
        if (source.size === null || source.size >= asked) continue;
        throw new DataError(
          `${name}: its share of the mixture's ${count} rows is ${asked}, and it has ${source.size}. Use a smaller size, or another weight; without size a source is gone through several times.`,
        );
      }
    },
  };
}
