/** The parts, in the order in which they run. */
import type { Part } from "./part.ts";
import { configs } from "./parts/configs.ts";
import { hostileText } from "./parts/hostile-text.ts";
import { kills } from "./parts/kills.ts";
import { modelFiles } from "./parts/model-files.ts";
import { runFiles } from "./parts/run-files.ts";
import { scorings } from "./parts/scorings.ts";

export const parts: readonly Part[] = [modelFiles, runFiles, kills, configs, scorings, hostileText];
