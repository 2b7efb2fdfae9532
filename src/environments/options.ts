import type { z } from "zod";
import { optionUnion } from "../lib/option-union.ts";
import { environmentKinds } from "./kinds.ts";

export const environmentOptions = optionUnion(environmentKinds);
export type EnvironmentOptions = z.infer<typeof environmentOptions>;
