/** A PJRT plugin: one library, one symbol `GetPjrtApi`, a table of functions that take pointers to structs. */
import koffi from "koffi";
import { BackendError } from "../../../lib/errors.ts";
import { addressOf, type NativeFunction, openResident, type Pointer, textAt, viewOf } from "../native.ts";
import {
  apiHeader,
  type CallFields,
  type CallName,
  calls,
  type Fields,
  type Layout,
  layoutOf,
  namedValueTypes,
  OLDEST_MINOR,
  structs,
  TABLE_VERSION,
} from "./layouts.ts";

export interface PjrtPlugin {
  readonly path: string;
  /** "0.116": the interface's version. */
  readonly version: string;
  /** What the plugin says of itself: xla_version, stablehlo_current_version, ... */
  readonly attributes: Readonly<Record<string, string>>;
  /**
   * Calls PJRT_<name>. Fields that are not given are zero.
   * @returns all fields after the call, bytes and addresses as numbers
   * @throws BackendError with the plugin's message
   */
  call<N extends CallName>(
    name: N,
    fields: Partial<Record<CallFields<N>, number>>,
  ): Record<CallFields<N>, number>;
  /** Blocks until an event has come, destroys it, and throws what it brought. */
  wait(event: Pointer, what: string): void;
  /** The same on another thread. */
  waitAsync(event: Pointer, what: string): Promise<void>;
}

/** Value of an option: whole numbers are int64, others float; one float that may be whole, or a list of int64, as an array. */
export type NamedValue = string | number | boolean | Float32Array | BigInt64Array;

/** Memory that lives during a call: keeps what addresses point to. */
export class Arena {
  private readonly kept: ArrayBufferView[] = [];

  /** @returns the address of the data, 0 for none */
  keep(data: ArrayBufferView): Pointer {
    this.kept.push(data);
    return data.byteLength === 0 ? 0 : addressOf(data);
  }

  text(text: string): { at: Pointer; size: number } {
    const bytes = Buffer.from(text);
    // a null pointer of size 0 is no string to some plugins
    return { at: this.keep(bytes.length > 0 ? bytes : Buffer.alloc(1)), size: bytes.length };
  }

  struct<S extends keyof typeof structs>(
    name: S,
    values: Partial<Record<keyof (typeof structs)[S] & string, number>>,
  ): Pointer {
    return this.keep(encode(structLayout(name), values));
  }

  /** An array of PJRT_NamedValue. */
  namedValues(values: Readonly<Record<string, NamedValue>>): { at: Pointer; count: number } {
    const layout = structLayout("NamedValue");
    const entries = Object.entries(values);
    const array = new Uint8Array(layout.size * entries.length);
    entries.forEach(([key, value], index) => {
      const name = this.text(key);
      const common = { name: name.at, name_size: name.size, value_size: 1 };
      let fields: Partial<Record<string, number>>;
      if (typeof value === "string") {
        const text = this.text(value);
        fields = { ...common, type: namedValueTypes.string, value: text.at, value_size: text.size };
      } else if (typeof value === "boolean") {
        fields = { ...common, type: namedValueTypes.bool, value: value ? 1 : 0 };
      } else if (value instanceof BigInt64Array) {
        const at = this.keep(value);
        fields = { ...common, type: namedValueTypes.int64List, value: at, value_size: value.length };
      } else if (typeof value === "number" && Number.isInteger(value)) {
        fields = { ...common, type: namedValueTypes.int64, value };
      } else {
        const float = typeof value === "number" ? Float32Array.of(value) : value.slice(0, 1);
        const word = new Uint32Array(float.buffer);
        fields = { ...common, type: namedValueTypes.float, value: word[0]! };
      }
      array.set(encode(layout, fields), index * layout.size);
    });
    return { at: entries.length === 0 ? 0 : this.keep(array), count: entries.length };
  }

  /** Must come after the call, so that nothing is collected during it. */
  release(): void {
    this.kept.length = 0;
  }
}

const structLayouts = new Map<string, Layout>();
function structLayout(name: keyof typeof structs): Layout {
  let layout = structLayouts.get(name);
  if (layout === undefined) {
    layout = layoutOf(structs[name] as Fields);
    structLayouts.set(name, layout);
  }
  return layout;
}

function encode(layout: Layout, values: Readonly<Partial<Record<string, number>>>): Uint8Array {
  const bytes = new Uint8Array(layout.size);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(layout.size), true);
  for (const [name, value] of Object.entries(values)) {
    const field = layout.fields.get(name);
    if (field === undefined || value === undefined) throw new RangeError(`no field ${name}`);
    if (field.kind === "b") view.setUint8(field.offset, value);
    else if (field.kind === "i") view.setInt32(field.offset, value, true);
    else view.setBigInt64(field.offset, BigInt(value), true);
  }
  return bytes;
}

function decode(layout: Layout, bytes: Uint8Array): Record<string, number> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values: Record<string, number> = {};
  for (const [name, { kind, offset }] of layout.fields) {
    if (kind === "b") values[name] = view.getUint8(offset);
    else if (kind === "i") values[name] = view.getInt32(offset, true);
    else values[name] = Number(view.getBigInt64(offset, true));
  }
  return values;
}

/** Reads an array of PJRT_NamedValue; lists of integers are joined by commas. */
export function readNamedValues(at: Pointer, count: number): Record<string, string> {
  const layout = structLayout("NamedValue");
  const found: Record<string, string> = {};
  if (count === 0) return found;
  // struct_size of the plugin's own NamedValue is the distance between elements
  const stride = Number(new DataView(viewOf(at, 8).slice().buffer).getBigUint64(0, true));
  for (let index = 0; index < count; index++) {
    const bytes = viewOf(at + index * stride, layout.size).slice();
    const { name, name_size, type, value, value_size } = decode(layout, bytes) as Record<
      keyof typeof structs.NamedValue,
      number
    >;
    const offset = layout.fields.get("value")!.offset;
    found[textAt(name, name_size)] = namedValueText(type, value, value_size, bytes.slice(offset, offset + 8));
  }
  return found;
}

function namedValueText(type: number, value: number, size: number, raw: Uint8Array): string {
  switch (type) {
    case namedValueTypes.string:
      return textAt(value, size);
    case namedValueTypes.int64List:
      return new BigInt64Array(viewOf(value, 8 * size).slice().buffer).join(",");
    case namedValueTypes.float:
      return String(new Float32Array(raw.buffer)[0]);
    case namedValueTypes.bool:
      return raw[0] === 0 ? "false" : "true";
    default:
      return String(value);
  }
}

const plugins = new Map<string, PjrtPlugin>();

/**
 * Opens and initialises a plugin; further calls for the path return the first.
 * @throws BackendError when it does not load, is no plugin, or is older or newer than we can call
 */
export function openPlugin(path: string): PjrtPlugin {
  const known = plugins.get(path);
  if (known !== undefined) return known;
  // its errors reach us with their message; absl and TensorFlow's log would repeat them
  process.env["TF_CPP_MIN_LOG_LEVEL"] ??= "3";
  const library = openResident(path);
  let getApi: NativeFunction;
  try {
    getApi = library.func("GetPjrtApi", "uintptr_t", []);
  } catch (cause) {
    throw new BackendError(`${path}: is no PJRT plugin: it exports no GetPjrtApi`, { cause });
  }
  const plugin = bind(path, getApi());
  plugins.set(path, plugin);
  return plugin;
}

/** @param api address of the plugin's PJRT_Api */
export function bind(path: string, api: Pointer): PjrtPlugin {
  const header = new DataView(viewOf(api, apiHeader.functions).slice().buffer);
  const size = Number(header.getBigUint64(0, true));
  const major = header.getInt32(apiHeader.major, true);
  const minor = header.getInt32(apiHeader.minor, true);
  const version = `${major}.${minor}`;
  checkVersion(path, major, minor, size);
  const table = new BigUint64Array(viewOf(api, size).slice().buffer);
  const proto = functionType();
  const functions = new Map<
    CallName,
    { layout: Layout; invoke: NativeFunction & { async: NativeFunction } }
  >();
  const functionOf = (name: CallName) => {
    let found = functions.get(name);
    if (found === undefined) {
      const [index, fields] = calls[name];
      const at = apiHeader.functions / 8 + index;
      const pointer = table[at];
      if (pointer === undefined || pointer === 0n) {
        throw new BackendError(`${path}: this plugin (interface ${version}) has no PJRT_${name}`);
      }
      found = { layout: layoutOf(fields), invoke: koffi.decode(pointer, proto) as never };
      functions.set(name, found);
    }
    return found;
  };

  const messageOf = (error: Pointer): string => {
    const message = functionOf("Error_Message");
    const bytes = encode(message.layout, { error });
    message.invoke(bytes);
    const { message: at, message_size } = decode(message.layout, bytes);
    const text = textAt(at!, message_size!);
    const destroy = functionOf("Error_Destroy");
    destroy.invoke(encode(destroy.layout, { error }));
    return text;
  };
  const raise = (what: string, error: Pointer): never => {
    const text = messageOf(error);
    const sizes = /Unexpected PJRT_\w+ size/.test(text)
      ? ` (the plugin's interface is ${version}, ours ${TABLE_VERSION.major}.${TABLE_VERSION.minor}: update rlpt, or use an older plugin)`
      : "";
    throw new BackendError(`PJRT: ${what}: ${text}${sizes}`);
  };

  const call = (name: CallName, fields: Record<string, number>): Record<string, number> => {
    const { layout, invoke } = functionOf(name);
    const bytes = encode(layout, fields);
    const error: Pointer = invoke(bytes);
    if (error !== 0) raise(name, error);
    return decode(layout, bytes);
  };
  const wait = (event: Pointer, what: string) => {
    const { layout, invoke } = functionOf("Event_Await");
    const error: Pointer = invoke(encode(layout, { event }));
    call("Event_Destroy", { event });
    if (error !== 0) raise(what, error);
  };
  const waitAsync = (event: Pointer, what: string) => {
    const { layout, invoke } = functionOf("Event_Await");
    const bytes = encode(layout, { event });
    return new Promise<void>((resolve, reject) => {
      invoke.async(bytes, (fault: unknown, error: Pointer) => {
        try {
          // `bytes` is used here, so it lives until now
          if (bytes.length === 0 || fault) throw fault;
          call("Event_Destroy", { event });
          if (error !== 0) raise(what, error);
          resolve();
        } catch (reason) {
          reject(reason);
        }
      });
    });
  };

  call("Plugin_Initialize", {});
  const { attributes, num_attributes } = call("Plugin_Attributes", {});
  return {
    path,
    version,
    attributes: readNamedValues(attributes!, num_attributes!),
    call: call as PjrtPlugin["call"],
    wait,
    waitAsync,
  };
}

/** @throws BackendError for an interface that we cannot call */
export function checkVersion(path: string, major: number, minor: number, apiSize: number): void {
  const ours = `${TABLE_VERSION.major}.${TABLE_VERSION.minor}`;
  if (major !== TABLE_VERSION.major) {
    throw new BackendError(
      `${path}: its PJRT interface is ${major}.${minor}, and only ${TABLE_VERSION.major}.x is known (table of ${ours}). Fix: ${major > TABLE_VERSION.major ? "update rlpt, or install an older plugin" : "install a newer plugin"}.`,
    );
  }
  const last = Math.max(...Object.values(calls).map(([index]) => index));
  const needed = apiHeader.functions + 8 * (last + 1);
  if (minor < OLDEST_MINOR || apiSize < needed) {
    throw new BackendError(
      `${path}: its PJRT interface is ${major}.${minor} (${apiSize} bytes), too old: 0.${OLDEST_MINOR} and ${needed} bytes are needed. Fix: install a newer plugin.`,
    );
  }
}

/** PJRT_Error* f(args*), and for the two functions without a result the same. */
function functionType(): ReturnType<typeof koffi.proto> {
  type ??= koffi.proto("uintptr_t", ["void*"]);
  return type;
}
let type: ReturnType<typeof koffi.proto> | undefined;
