/** The benchmarks that rlpt eval knows by name. A new one is its file and a line here. */
import { asdiv } from "./asdiv.ts";
import type { Benchmark } from "./define.ts";
import { gsm8k } from "./gsm8k.ts";
import { ifeval } from "./ifeval.ts";
import { math500 } from "./math500.ts";
import { mmluPro, mmluProCot } from "./mmlu-pro.ts";
import { svamp } from "./svamp.ts";

export const benchmarks: readonly Benchmark[] = [gsm8k, math500, svamp, asdiv, mmluPro, mmluProCot, ifeval];
