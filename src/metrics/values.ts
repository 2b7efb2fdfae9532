/** Small tools of the metric rows. */
import { mean } from "../lib/math.ts";

export const average = (values: readonly number[]): number | null =>
  values.length === 0 ? null : mean(values);

export const share = (values: readonly boolean[]): number | null => average(values.map(Number));

export const percent = (value: number): string => `${(100 * value).toFixed(1)}%`;

/** Three significant digits. */
export const digits = (value: number): string => String(Number(value.toPrecision(3)));
