/**
 * State that survives a kill, by name. An algorithm, a sampler, a shaping or a callback registers what it changes from step to
 * step; checkpoints save and restore all of it without knowing what it is.
 */
import type { NamedTensor } from "../policy/interfaces.ts";
import type { Cell, Cells, Json } from "../types.ts";

/** `stage`: gone when the stage is over. `run`: kept for the stages after it, used by them or not. */
export type Scope = "stage" | "run";

/** Tensors that are saved, one file of them. */
export interface TensorSlot {
  /** Brings them to the host, where the backend cannot be read synchronously. */
  prepare?(): Promise<void>;
  /** null: there is nothing to save now. */
  save(): Iterable<NamedTensor> | null;
  /** Puts saved ones back. @throws Error naming one that is missing or has another shape */
  load(saved: SavedTensors): void;
}

/** What a checkpoint holds of the slots. */
export interface SavedSlots {
  values: Readonly<Record<Scope, Readonly<Record<string, Json>>>>;
  /** Names of the files of tensors. */
  tensors: Readonly<Record<Scope, readonly string[]>>;
}

/** A saved file of tensors. */
export interface SavedTensors {
  readonly names: readonly string[];
  /** @throws Error naming what is missing */
  read(name: string): NamedTensor;
  close(): void;
}

/** Opens it by its slot's name. */
export type OpenTensors = (slot: string) => SavedTensors;

interface Kept {
  dispose(): void;
}

export class Slots implements Cells {
  private readonly cells = new Map<string, { scope: Scope; cell: Cell<unknown> }>();
  private readonly tensorSlots = new Map<string, { scope: Scope; slot: TensorSlot }>();
  private readonly kept = new Map<string, Kept>();
  /** Saved, and not registered so far. */
  private readonly waiting: { values: Map<string, [Scope, Json]>; tensors: Map<string, Scope> };
  private readonly carried = new Map<string, NamedTensor[]>();
  private readonly openTensors: OpenTensors;

  constructor(saved?: SavedSlots, open?: OpenTensors) {
    this.openTensors =
      open ??
      ((name) => {
        throw new Error(`no checkpoint holds ${name}`);
      });
    const scopes: readonly Scope[] = ["run", "stage"];
    this.waiting = {
      values: new Map(
        scopes.flatMap((scope) =>
          Object.entries(saved?.values[scope] ?? {}).map(([name, value]) => [name, [scope, value]] as const),
        ),
      ),
      tensors: new Map(
        scopes.flatMap((scope) => (saved?.tensors[scope] ?? []).map((name) => [name, scope] as const)),
      ),
    };
  }

  /**
   * A value that is saved. Registered again under its name, it is the same one.
   * @param initial where nothing was saved. Plain JSON, finite numbers
   */
  cell<T>(name: string, initial: T, scope: Scope = "stage"): Cell<T> {
    const known = this.cells.get(name);
    if (known !== undefined) return known.cell as Cell<T>;
    const saved = this.waiting.values.get(name);
    this.waiting.values.delete(name);
    const cell: Cell<T> = { value: saved === undefined ? initial : (saved[1] as T) };
    this.cells.set(name, { scope, cell });
    return cell;
  }

  /** Tensors that are saved; what was saved is put back at once. */
  tensors(name: string, slot: TensorSlot, scope: Scope = "stage"): void {
    if (this.tensorSlots.has(name)) throw new Error(`the state ${name} is registered twice`);
    if (this.waiting.tensors.delete(name)) {
      const carried = this.carried.get(name);
      this.carried.delete(name);
      const saved = carried === undefined ? this.openTensors(name) : inMemory(name, carried);
      try {
        slot.load(saved);
      } finally {
        saved.close();
      }
    }
    this.tensorSlots.set(name, { scope, slot });
  }

  /**
   * An object that stages of the run share. Between two stages that use it only its tensors are kept, on the host.
   * @param slot of its tensors; null where it has nothing to save
   */
  keep<T extends Kept>(name: string, make: () => T, slot: (made: T) => TensorSlot | null): T {
    const known = this.kept.get(name) as T | undefined;
    if (known !== undefined) return known;
    const made = make();
    this.kept.set(name, made);
    const saved = slot(made);
    if (saved !== null) this.tensors(name, saved, "run");
    return made;
  }

  /** The stage is over: its own state is forgotten, saved or registered. */
  async endStage(): Promise<void> {
    for (const name of this.kept.keys()) {
      const slot = this.tensorSlots.get(name)?.slot;
      this.tensorSlots.delete(name);
      await slot?.prepare?.();
      const content = slot?.save() ?? null;
      if (content === null) continue;
      const copies = [...content].map((tensor) => ({ ...tensor, data: tensor.data.slice() }));
      this.carried.set(name, copies);
      this.waiting.tensors.set(name, "run");
    }
    this.dispose();
    for (const [name, { scope }] of this.cells) if (scope === "stage") this.cells.delete(name);
    for (const [name, { scope }] of this.tensorSlots) if (scope === "stage") this.tensorSlots.delete(name);
    for (const [name, [scope]] of this.waiting.values)
      if (scope === "stage") this.waiting.values.delete(name);
    for (const [name, scope] of this.waiting.tensors)
      if (scope === "stage") this.waiting.tensors.delete(name);
  }

  /** What a checkpoint saves. State of the run that nobody has asked for since it was loaded goes on as it is. */
  async save(): Promise<{ saved: SavedSlots; files: Map<string, () => Iterable<NamedTensor>> }> {
    for (const { slot } of this.tensorSlots.values()) await slot.prepare?.();
    const values: Record<Scope, Record<string, Json>> = { run: {}, stage: {} };
    for (const [name, [scope, value]] of this.waiting.values) values[scope][name] = value;
    for (const [name, { scope, cell }] of this.cells) values[scope][name] = cell.value as Json;
    const files = new Map<string, () => Iterable<NamedTensor>>();
    const tensors: Record<Scope, string[]> = { run: [], stage: [] };
    for (const [name, scope] of this.waiting.tensors) {
      // the checkpoint that it is read from may be gone by the next time
      const carried = this.carried.get(name) ?? readAll(this.openTensors(name));
      this.carried.set(name, carried);
      tensors[scope].push(name);
      files.set(name, () => carried);
    }
    for (const [name, { scope, slot }] of this.tensorSlots) {
      const content = slot.save();
      if (content === null) continue;
      tensors[scope].push(name);
      files.set(name, () => content);
    }
    const sorted = <T>(record: Record<string, T>) =>
      Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
    return {
      saved: {
        values: { run: sorted(values.run), stage: sorted(values.stage) },
        tensors: { run: tensors.run.sort(), stage: tensors.stage.sort() },
      },
      files,
    };
  }

  dispose(): void {
    for (const one of this.kept.values()) one.dispose();
    this.kept.clear();
  }
}

function inMemory(slot: string, tensors: readonly NamedTensor[]): SavedTensors {
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  return {
    names: [...byName.keys()],
    read(name) {
      const tensor = byName.get(name);
      if (tensor === undefined) throw new Error(`${slot} lacks ${name}`);
      return tensor;
    },
    close() {},
  };
}

function readAll(saved: SavedTensors): NamedTensor[] {
  try {
    return saved.names.map((name) => saved.read(name));
  } finally {
    saved.close();
  }
}
