/** Shared libraries by `koffi`: opening them for good, addresses, and views of their memory. */
import koffi from "koffi";
import { BackendError } from "../../lib/errors.ts";

/** An address; below 2^53 on every platform in use. 0 is null. */
export type Pointer = number;

export type NativeLibrary = ReturnType<typeof koffi.load>;
/** A C function; addresses in and out are numbers, strings and typed arrays pass as pointers to their first byte. */
// biome-ignore lint/suspicious/noExplicitAny: the signature is in koffi's description, not in a type
export type NativeFunction = (...args: any[]) => any;

/** dlopen's flags (glibc and musl; Darwin has another RTLD_NODELETE). */
const RTLD_LAZY = 1;
const RTLD_NOW = 2;
const RTLD_NODELETE = process.platform === "darwin" ? 0x80 : 0x1000;

/**
 * Opens a library that is never unloaded. koffi closes libraries when Node exits, and those with threads or exit
 * handlers of their own (TensorFlow, XLA) then crash the process after its work is done.
 * @throws BackendError with the loader's reason
 */
export function openResident(path: string): NativeLibrary {
  try {
    if (process.platform !== "win32") {
      const dlopen = koffi.load(null).func("dlopen", "uintptr_t", ["str", "int"]);
      dlopen(path, RTLD_NOW | RTLD_NODELETE);
    }
    return koffi.load(path);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new BackendError(`${path}: cannot be loaded: ${reason}`, { cause });
  }
}

/**
 * Gives what malloc keeps of freed memory back to the kernel: after work that is not soon done again, such as compiling.
 * @returns whether the C library can
 */
export function trimHeap(): boolean {
  if (process.platform !== "linux") return false;
  try {
    koffi.load("libc.so.6").func("malloc_trim", "int", ["size_t"])(0);
    return true;
  } catch {
    // another C library
    return false;
  }
}

/** Opens a library that others ask for by its bare name; one that does not open is passed over. */
export function preload(path: string): void {
  koffi.load(null).func("dlopen", "uintptr_t", ["str", "int"])(path, RTLD_LAZY | RTLD_NODELETE);
}

/** Address of a typed array's first byte; keep the array alive while the address is in use. */
export function addressOf(array: ArrayBufferView): Pointer {
  return Number(koffi.address(array));
}

/** Native memory as bytes, without a copy. Valid as long as its owner keeps it. */
export function viewOf(pointer: Pointer, bytes: number): Uint8Array {
  return new Uint8Array(koffi.view(BigInt(pointer), bytes));
}

/** UTF-8 text of known length. */
export function textAt(pointer: Pointer, bytes: number): string {
  return bytes === 0 ? "" : Buffer.from(viewOf(pointer, bytes)).toString("utf8");
}

/** A view's own bytes. */
export function bytesIn(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/** A varint field of a protocol buffer message. @param field its number */
export function protoVarint(field: number, value: number): number[] {
  return [...varint(field * 8), ...varint(value)];
}

/** A length-delimited field: a string, bytes, or a message inside. */
export function protoBytes(field: number, bytes: ArrayLike<number>): number[] {
  return [...varint(field * 8 + 2), ...varint(bytes.length), ...Array.from(bytes)];
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
  return bytes;
}
