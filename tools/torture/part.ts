/** What a part of the torture is: cases drawn from a seed, each tried in a process that may be lost. */
import type { Rng } from "../../src/lib/rng.ts";

/** One case. Everything in it is a function of the seed, the part's name and its number. */
export interface Case {
  index: number;
  rng: Rng;
  /** An empty folder of its own, kept where something is found. */
  folder: string;
  /** Says what is about to be tried, for the case that this process does not come back from it. */
  trying(what: string): void;
}

/** What became of a case. */
export interface Outcome {
  /** In a word or two, for the tally: "loaded", "refused". */
  kind: string;
  /** What was tried, as a person would say it. */
  tried: string;
  /** How many things were tried; 1. */
  count?: number;
  /** What must not be: the reason of a finding. */
  fault?: string;
}

export type Attempt = (one: Case) => Promise<Outcome>;

export interface Part {
  name: string;
  /** What one case tries, in the plural. */
  tries: string;
  /** Things tried in the full form, and in one case. */
  full: number;
  perCase: number;
  /** It waits for processes of its own, so that doing nothing for a while is no hang. */
  waits?: boolean;
  /** Makes what all cases start from; called once, before the first. @param shared an empty folder */
  prepare(shared: string): Promise<void>;
  /** Called once in each process. */
  open(shared: string): Promise<Attempt>;
}

/** What is asked of a process that tries cases. */
export interface Task {
  part: string;
  index: number;
  seed: number;
  folder: string;
  shared: string;
}

/** Kind of an outcome where a part cannot begin at all: no finding, but the end. */
export const NOT_READY = "not ready";

/** Where a process says what it is about to try. */
export const triedFile = ({ folder }: Task): string => `${folder}.tried`;
