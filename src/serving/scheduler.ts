/** Requests that wait, decoded together: batches of one model's rows, within a bound on memory and on how many may wait. */
import { cacheBytes } from "../policy/cache-size.ts";
import type { DecoderConfig, ModelFiles, TrainablePolicy } from "../policy/interfaces.ts";
import { type DecodedRow, type DecodeRow, decodeRows } from "../rollouts/decode.ts";

/** A policy under the name that requests ask for it by. */
export interface ServedModel {
  name: string;
  policy: TrainablePolicy;
  files: ModelFiles;
}

export interface SchedulerOptions {
  /** Rows decoded at once. */
  batchRows: number;
  /** Rows that may wait. */
  queueRows: number;
  /** Bytes of keys and values of a batch. */
  cacheBytes: number;
}

interface Waiting {
  model: ServedModel;
  rows: readonly DecodeRow[];
  resolve(rows: DecodedRow[]): void;
  reject(error: unknown): void;
}

/** Bytes that rows take which are decoded together: each is as long as the longest prompt and the longest completion. */
export function cacheBytesOf(config: DecoderConfig, rows: readonly DecodeRow[]): number {
  const prompt = Math.max(...rows.map((row) => row.prompt.length));
  const completion = Math.max(...rows.map((row) => row.maxNewTokens));
  return cacheBytes(config, { rows: rows.length, length: prompt + completion });
}

export class Scheduler {
  private readonly options: SchedulerOptions;
  private readonly waiting: Waiting[] = [];
  private running: Promise<void> | null = null;

  constructor(options: SchedulerOptions) {
    this.options = options;
  }

  get waitingRows(): number {
    return this.waiting.reduce((sum, { rows }) => sum + rows.length, 0);
  }

  hasRoom(rows: number): boolean {
    return this.waitingRows + rows <= this.options.queueRows;
  }

  /** Rows of one request; their callbacks are called as tokens come. */
  submit(model: ServedModel, rows: readonly DecodeRow[]): Promise<DecodedRow[]> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ model, rows, resolve, reject });
      this.running ??= this.run().finally(() => {
        this.running = null;
      });
    });
  }

  /** When nothing waits or runs. */
  async idle(): Promise<void> {
    while (this.running !== null) await this.running;
  }

  private async run(): Promise<void> {
    // requests that arrive together are taken together
    await new Promise((resolve) => setImmediate(resolve));
    while (this.waiting.length > 0) {
      const batch = this.next();
      const { policy, files } = batch[0]!.model;
      try {
        const decoded = await decodeRows(
          policy,
          files.tokenizer,
          batch.flatMap(({ rows }) => rows),
        );
        for (const { rows, resolve } of batch) resolve(decoded.splice(0, rows.length));
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
  }

  /** The oldest request, and those behind it of the same model that still fit. Others keep their places. */
  private next(): Waiting[] {
    const first = this.waiting.shift()!;
    const batch = [first];
    const rows = [...first.rows];
    for (let i = 0; i < this.waiting.length; ) {
      const other = this.waiting[i]!;
      const together = [...rows, ...other.rows];
      const fits =
        other.model === first.model &&
        together.length <= this.options.batchRows &&
        cacheBytesOf(first.model.policy.config, together) <= this.options.cacheBytes;
      if (!fits) {
        i++;
        continue;
      }
      batch.push(other);
      rows.push(...other.rows);
      this.waiting.splice(i, 1);
    }
    return batch;
  }
}
