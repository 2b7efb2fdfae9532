/** Option schemas of the parts that compare answers, for checks from outside that score completions without a recipe. */
import { math } from "./math-answer.ts";
import { number } from "./number.ts";

export const mathOptions = math.options;
export const numberOptions = number.options;
