/** The environments that come with rlpt, in the order of the documentation. A new one is its file and a line here. */
import { calculator } from "./calculator.ts";
import { file } from "./file.ts";
import { guess } from "./guess.ts";

export const environmentKinds = [file, guess, calculator] as const;
