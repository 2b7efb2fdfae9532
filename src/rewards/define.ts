/** What a reward kind is, in one declaration: options, golden cases, and how completions are scored. */
import { z } from "zod";
import type { RewardInput, RewardPartResult } from "../types.ts";
import type { GoldenCase } from "./cases.ts";
import type { JudgeServices } from "./judge/ask.ts";
import { common } from "./part-options.ts";

/** A part's result; `right` where the part compares answers, whatever value its options give that. */
export type Judged = RewardPartResult & { right?: boolean };

/** A part that is ready to score. */
export interface OpenPart {
  /**
   * One result per input, in order.
   * @param correct what the deciding part said of each, for parts of the phase `verdict`; null where it failed
   */
  score(inputs: readonly RewardInput[], correct: readonly (boolean | null)[]): Judged[] | Promise<Judged[]>;
  close?(): Promise<void>;
}

/** What parts may be given that is not in their inputs. Pure parts look at none of it. */
export interface RewardServices {
  /** null: nobody can be asked here. */
  judges: JudgeServices | null;
}

/** Keys of every part and of one kind, as a config resolves them. */
export type PartOptions<Shape extends z.ZodRawShape> = z.infer<
  z.ZodObject<Omit<typeof common, keyof Shape> & Shape, z.core.$strict>
>;

type SchemaOf<Kind extends string, Shape extends z.ZodRawShape> = z.ZodObject<
  { kind: z.ZodLiteral<Kind> } & Omit<typeof common, keyof Shape> & Shape,
  z.core.$strict
>;

/** How a kind scores; each declaration has one of these. An exception is a result too: status error, never a score. */
type Scoring<Options> =
  /** One completion at a time. */
  | { score(input: RewardInput, options: Options): Judged }
  /** The same after the deciding part has spoken, told whether the answer is right. */
  | { scoreVerdict(input: RewardInput, options: Options, correct: boolean): Judged }
  /** All completions of a batch together. */
  | { scoreAll(inputs: readonly RewardInput[], options: Options): Promise<Judged[]> }
  /** Something that has to be loaded first, and closed. Its golden cases come with what it loads. */
  | { open(options: Options, services: RewardServices): Promise<OpenPart> };

interface Declaration<Kind extends string, Shape extends z.ZodRawShape, Options> {
  /** `kind` in a config. */
  kind: Kind;
  /** Keys beside `kind` and those of every part, which may be described anew here (another default weight). */
  options: Shape;
  /** Does it compare an answer with the gold one? The first part that does decides what accuracy counts. */
  judges: boolean;
  /** Rules between its options. */
  check?(options: Options, fault: (key: string, message: string) => void): void;
  /** How a completion opens that answers without thinking, where the part has a say in it. */
  directOpening?(options: Options): string;
  cases: readonly GoldenCase[];
}

export interface RewardKind<
  Kind extends string = string,
  Schema extends z.ZodType = z.ZodType,
  Options = z.infer<Schema>,
> {
  kind: Kind;
  options: Schema;
  judges: boolean;
  /** `completion`: in the order of the config; `verdict`: when the deciding part has spoken. */
  phase: "completion" | "verdict";
  check?(options: Options, fault: (key: string, message: string) => void): void;
  directOpening?(options: Options): string;
  cases: readonly GoldenCase[];
  open(options: Options, services: RewardServices): Promise<OpenPart>;
}

/** Declares a reward kind. It is known when src/rewards/kinds.ts lists it. */
export function defineReward<const Kind extends string, Shape extends z.ZodRawShape>({
  kind,
  options: shape,
  ...declared
}: Declaration<Kind, Shape, z.infer<SchemaOf<Kind, Shape>>> &
  Scoring<z.infer<SchemaOf<Kind, Shape>>>): RewardKind<Kind, SchemaOf<Kind, Shape>> {
  const schema = z.strictObject({ kind: z.literal(kind), ...common, ...shape });
  return {
    ...declared,
    kind,
    options: schema as unknown as SchemaOf<Kind, Shape>,
    phase: "scoreVerdict" in declared ? "verdict" : "completion",
    open: async (options, services) => openPart(declared, options, services),
  };
}

function openPart<Options>(
  declared: Scoring<Options>,
  options: Options,
  services: RewardServices,
): OpenPart | Promise<OpenPart> {
  if ("open" in declared) return declared.open(options, services);
  if ("scoreAll" in declared) return { score: (inputs) => declared.scoreAll(inputs, options) };
  if ("score" in declared) {
    return { score: (inputs) => inputs.map((input) => guarded(() => declared.score(input, options))) };
  }
  return {
    score: (inputs, correct) =>
      inputs.map((input, i) => guarded(() => declared.scoreVerdict(input, options, correct[i] === true))),
  };
}

/** An exception of a pure function, or a value that is no finite number, is a result with status error. */
function guarded(score: () => Judged): Judged {
  try {
    const result = score();
    if (Number.isFinite(result.value)) return result;
    return { value: 0, status: "error", note: `the value is ${result.value}` };
  } catch (error) {
    return { value: 0, status: "error", note: error instanceof Error ? error.message : String(error) };
  }
}
