/** The reward kinds that come with rlpt, in the order of the documentation. A new one is its file and a line here. */
import { bootcamp } from "./bootcamp.ts";
import { boxFormatKind } from "./box-format.ts";
import { boxIouKind } from "./box-iou.ts";
import { boxMapKind } from "./box-map.ts";
import { boxPrecisionRecallKind } from "./box-precision-recall.ts";
import { choice } from "./choice.ts";
import { contradiction } from "./contradiction.ts";
import { cosineLength } from "./cosine-length.ts";
import { environment } from "./environment.ts";
import { exact } from "./exact.ts";
import { file } from "./file.ts";
import { finished } from "./finished.ts";
import { idList } from "./id-list.ts";
import { judge } from "./judge.ts";
import { length } from "./length.ts";
import { lookUncertaintyKind } from "./look-uncertainty.ts";
import { math } from "./math-answer.ts";
import { modeAnswer } from "./mode-answer.ts";
import { number } from "./number.ts";
import { repetition } from "./repetition.ts";
import { ruleServer } from "./rule-server.ts";
import { tagFormat } from "./tag-format.ts";
import { tokenBleuKind } from "./token-bleu.ts";
import { trigger } from "./trigger.ts";

export const rewardKinds = [
  exact,
  choice,
  tagFormat,
  number,
  math,
  modeAnswer,
  ruleServer,
  bootcamp,
  length,
  cosineLength,
  repetition,
  tokenBleuKind,
  contradiction,
  finished,
  trigger,
  idList,
  boxIouKind,
  boxFormatKind,
  boxMapKind,
  boxPrecisionRecallKind,
  lookUncertaintyKind,
  judge,
  environment,
  file,
] as const;
