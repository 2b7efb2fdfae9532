/** Arrays on PJRT devices: one PJRT_Buffer, or one a device. */
import { BackendError } from "../../../lib/errors.ts";
import { partSpec } from "../../stablehlo/data-parallel.ts";
import {
  bytesOf,
  type DeviceBuffer,
  elementTypes,
  type HostArray,
  type Sharding,
  type Spec,
  typeText,
} from "../../stablehlo/executor.ts";
import { bytesIn, type Pointer } from "../native.ts";
import { Arena, type PjrtPlugin } from "./api.ts";
import { bufferTypes, IMMUTABLE_ONLY_DURING_CALL } from "./layouts.ts";

export class PjrtBuffer implements DeviceBuffer {
  readonly spec: Spec;
  readonly sharding: Sharding;
  /** PJRT_Buffer by device; empty when consumed. */
  parts: readonly Pointer[];
  readonly owner: BufferPool;

  constructor(owner: BufferPool, spec: Spec, sharding: Sharding, parts: readonly Pointer[]) {
    this.owner = owner;
    this.spec = spec;
    this.sharding = sharding;
    this.parts = parts;
    owner.live.add(this);
  }

  get consumed(): boolean {
    return this.parts.length === 0;
  }

  free(): void {
    for (const buffer of this.parts) this.owner.plugin.call("Buffer_Destroy", { buffer });
    this.parts = [];
    this.owner.live.delete(this);
  }
}

/** Makes, reads and frees the arrays of one client. */
export class BufferPool {
  readonly live = new Set<PjrtBuffer>();
  readonly plugin: PjrtPlugin;
  private readonly client: Pointer;
  private readonly devices: readonly Pointer[];

  constructor(plugin: PjrtPlugin, client: Pointer, devices: readonly Pointer[]) {
    this.plugin = plugin;
    this.client = client;
    this.devices = devices;
  }

  /** The data is copied before this returns. */
  upload(data: ArrayBufferView, spec: Spec, sharding: Sharding | undefined): PjrtBuffer {
    if (data.byteLength !== bytesOf(spec)) {
      throw new BackendError(`${data.byteLength} bytes are not a ${typeText(spec)} (${bytesOf(spec)} bytes)`);
    }
    const bytes = bytesIn(data);
    const devices = sharding === undefined ? this.devices.slice(0, 1) : this.devices;
    const kind = sharding ?? "replicated";
    const part = partSpec(spec, kind, devices.length);
    const size = bytesOf(part);
    const parts = devices.map((device, index) => {
      const own = kind === "rows" ? bytes.subarray(index * size, (index + 1) * size) : bytes;
      return this.uploadPart(own, part, device);
    });
    return new PjrtBuffer(this, spec, kind, parts);
  }

  private uploadPart(bytes: Uint8Array, spec: Spec, device: Pointer): Pointer {
    const arena = new Arena();
    const { buffer, done_with_host_buffer } = this.plugin.call("Client_BufferFromHostBuffer", {
      client: this.client,
      // an array without elements has no address, and null is refused
      data: arena.keep(bytes.length > 0 ? bytes : new Uint8Array(8)),
      type: bufferTypes[spec.type],
      dims: arena.keep(BigInt64Array.from(spec.shape, BigInt)),
      num_dims: spec.shape.length,
      host_buffer_semantics: IMMUTABLE_ONLY_DURING_CALL,
      device,
    });
    arena.release();
    this.plugin.wait(done_with_host_buffer, `copying a ${typeText(spec)} to the device`);
    return buffer;
  }

  /** @throws BackendError when it is of another executor, freed, or donated */
  check(buffer: DeviceBuffer, what: string): PjrtBuffer {
    if (!(buffer instanceof PjrtBuffer) || buffer.owner !== this) {
      throw new BackendError(`${what} is of another executor`);
    }
    if (buffer.consumed) {
      throw new BackendError(`${what}, a ${typeText(buffer.spec)}, was freed or donated before`);
    }
    return buffer;
  }

  /** Starts the copies to the host. */
  private start(buffer: DeviceBuffer): { array: HostArray; events: Pointer[]; what: string } {
    const { spec, parts, sharding } = this.check(buffer, "the buffer");
    const needed = sharding === "rows" ? parts : parts.slice(0, 1);
    const bytes = new Uint8Array(bytesOf(spec));
    const size = bytes.length / needed.length;
    const events = needed.flatMap((src, index) => {
      if (size === 0) return [];
      const arena = new Arena();
      const own = bytes.subarray(index * size, (index + 1) * size);
      const { event } = this.plugin.call("Buffer_ToHostBuffer", {
        src,
        dst: arena.keep(own),
        dst_size: size,
      });
      arena.release();
      return [event];
    });
    const array = new elementTypes[spec.type].array(bytes.buffer);
    return { array, events, what: `reading a ${typeText(spec)}` };
  }

  download(buffer: DeviceBuffer): HostArray {
    const { array, events, what } = this.start(buffer);
    for (const event of events) this.plugin.wait(event, what);
    return array;
  }

  async read(buffer: DeviceBuffer): Promise<HostArray> {
    const { array, events, what } = this.start(buffer);
    for (const event of events) await this.plugin.waitAsync(event, what);
    return array;
  }

  close(): void {
    for (const buffer of [...this.live]) buffer.free();
  }
}
