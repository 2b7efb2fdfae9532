/**
 * The part of PJRT's C interface (xla/pjrt/c/pjrt_c_api.h of openxla/xla) that we call: the place of each function
 * in PJRT_Api, and the fields of its argument struct in order. Every struct begins with `size_t struct_size` and a
 * pointer to extensions; fields follow by the rules of C. Fields are only ever added at the end, so a table of one
 * minor version serves older plugins and, until one of its structs grows, newer ones.
 */

/** Minor version of the interface that this table was taken from; structs agree with 0.81 and 0.90 where those reach. */
export const TABLE_VERSION = { major: 0, minor: 114 } as const;
/** The oldest plugin that this was run against. */
export const OLDEST_MINOR = 81;

/** p pointer, z size_t, l int64_t, i int32_t or enum, b bool. */
export type FieldKind = "p" | "z" | "l" | "i" | "b";
export type Fields = Readonly<Record<string, FieldKind>>;

const bytesOfKind: Record<FieldKind, number> = { p: 8, z: 8, l: 8, i: 4, b: 1 };
const HEADER_BYTES = 16;

/** Functions by name without `PJRT_`: position among PJRT_Api's function pointers, and its arguments. */
export const calls = {
  Error_Destroy: [0, { error: "p" }],
  Error_Message: [1, { error: "p", message: "p", message_size: "z" }],
  Plugin_Initialize: [3, {}],
  Plugin_Attributes: [4, { attributes: "p", num_attributes: "z" }],
  Event_Destroy: [5, { event: "p" }],
  Event_IsReady: [6, { event: "p", is_ready: "b" }],
  Event_Await: [8, { event: "p" }],
  Client_Create: [
    10,
    {
      create_options: "p",
      num_options: "z",
      kv_get_callback: "p",
      kv_get_user_arg: "p",
      kv_put_callback: "p",
      kv_put_user_arg: "p",
      client: "p",
      kv_try_get_callback: "p",
      kv_try_get_user_arg: "p",
    },
  ],
  Client_Destroy: [11, { client: "p" }],
  Client_PlatformName: [12, { client: "p", platform_name: "p", platform_name_size: "z" }],
  Client_PlatformVersion: [14, { client: "p", platform_version: "p", platform_version_size: "z" }],
  Client_AddressableDevices: [16, { client: "p", addressable_devices: "p", num_addressable_devices: "z" }],
  Client_Compile: [
    20,
    { client: "p", program: "p", compile_options: "p", compile_options_size: "z", executable: "p" },
  ],
  Client_BufferFromHostBuffer: [
    22,
    {
      client: "p",
      data: "p",
      type: "i",
      dims: "p",
      num_dims: "z",
      byte_strides: "p",
      num_byte_strides: "z",
      host_buffer_semantics: "i",
      device: "p",
      memory: "p",
      device_layout: "p",
      done_with_host_buffer: "p",
      buffer: "p",
    },
  ],
  DeviceDescription_Kind: [26, { device_description: "p", device_kind: "p", device_kind_size: "z" }],
  Device_GetDescription: [29, { device: "p", device_description: "p" }],
  Device_MemoryStats: [
    34,
    {
      device: "p",
      bytes_in_use: "l",
      peak_bytes_in_use: "l",
      peak_bytes_in_use_is_set: "b",
      num_allocs: "l",
      num_allocs_is_set: "b",
      largest_alloc_size: "l",
      largest_alloc_size_is_set: "b",
      bytes_limit: "l",
      bytes_limit_is_set: "b",
      bytes_reserved: "l",
      bytes_reserved_is_set: "b",
      peak_bytes_reserved: "l",
      peak_bytes_reserved_is_set: "b",
      bytes_reservable_limit: "l",
      bytes_reservable_limit_is_set: "b",
      largest_free_block_bytes: "l",
      largest_free_block_bytes_is_set: "b",
      pool_bytes: "l",
      pool_bytes_is_set: "b",
      peak_pool_bytes: "l",
      peak_pool_bytes_is_set: "b",
      peak_allocated_bytes: "l",
      peak_allocated_bytes_is_set: "b",
    },
  ],
  Executable_Destroy: [40, { executable: "p" }],
  Executable_NumOutputs: [44, { executable: "p", num_outputs: "z" }],
  Executable_SizeOfGeneratedCodeInBytes: [45, { executable: "p", size_in_bytes: "l" }],
  Executable_GetCostAnalysis: [46, { executable: "p", num_properties: "z", properties: "p" }],
  Executable_OptimizedProgram: [48, { executable: "p", program: "p" }],
  Executable_Serialize: [
    49,
    {
      executable: "p",
      serialized_bytes: "p",
      serialized_bytes_size: "z",
      serialized_executable: "p",
      serialized_executable_deleter: "p",
    },
  ],
  LoadedExecutable_Destroy: [50, { executable: "p" }],
  LoadedExecutable_GetExecutable: [51, { loaded_executable: "p", executable: "p" }],
  LoadedExecutable_Execute: [
    55,
    {
      executable: "p",
      options: "p",
      argument_lists: "p",
      num_devices: "z",
      num_args: "z",
      output_lists: "p",
      device_complete_events: "p",
      execute_device: "p",
    },
  ],
  Executable_DeserializeAndLoad: [
    56,
    {
      client: "p",
      serialized_executable: "p",
      serialized_executable_size: "z",
      loaded_executable: "p",
      overridden_serialized_compile_options: "p",
      overridden_serialized_compile_options_size: "z",
      load_options: "p",
    },
  ],
  Buffer_Destroy: [58, { buffer: "p" }],
  Buffer_ToHostBuffer: [70, { src: "p", host_layout: "p", dst: "p", dst_size: "z", event: "p" }],
  Buffer_ReadyEvent: [72, { buffer: "p", event: "p" }],
  TopologyDescription_Create: [
    82,
    {
      topology_name: "p",
      topology_name_size: "z",
      create_options: "p",
      num_options: "z",
      topology: "p",
    },
  ],
  TopologyDescription_Destroy: [83, { topology: "p" }],
  Compile: [
    89,
    {
      topology: "p",
      program: "p",
      compile_options: "p",
      compile_options_size: "z",
      client: "p",
      executable: "p",
    },
  ],
  Executable_GetCompiledMemoryStats: [
    96,
    {
      executable: "p",
      generated_code_size_in_bytes: "l",
      argument_size_in_bytes: "l",
      output_size_in_bytes: "l",
      alias_size_in_bytes: "l",
      temp_size_in_bytes: "l",
      host_generated_code_size_in_bytes: "l",
      host_argument_size_in_bytes: "l",
      host_output_size_in_bytes: "l",
      host_alias_size_in_bytes: "l",
      host_temp_size_in_bytes: "l",
      peak_memory_in_bytes: "l",
      total_size_in_bytes: "l",
      total_allocation_bytes: "l",
      indefinite_allocations: "l",
      peak_unpadded_heap_bytes: "l",
    },
  ],
} as const satisfies Record<string, readonly [number, Fields]>;

export type CallName = keyof typeof calls;
export type CallFields<N extends CallName> = keyof (typeof calls)[N][1] & string;

/** Structs that arguments point to. */
export const structs = {
  NamedValue: { name: "p", name_size: "z", type: "i", value: "l", value_size: "z" },
  Program: { code: "p", code_size: "z", format: "p", format_size: "z" },
  ExecuteOptions: {
    send_callbacks: "p",
    recv_callbacks: "p",
    num_send_ops: "z",
    num_recv_ops: "z",
    launch_id: "i",
    non_donatable_input_indices: "p",
    num_non_donatable_input_indices: "z",
    context: "p",
    call_location: "p",
    num_tasks: "z",
    task_ids: "p",
    incarnation_ids: "p",
    multi_slice_config: "p",
    use_major_to_minor_data_layout_for_callbacks: "b",
    hlo_output_callbacks: "p",
    num_hlo_output_callbacks: "z",
  },
} as const satisfies Record<string, Fields>;

/** PJRT_Api itself: struct_size, extensions, PJRT_Api_Version (24 bytes), then the function pointers. */
export const apiHeader = { major: 32, minor: 36, functions: 40 } as const;

/** PJRT_Buffer_Type. */
export const bufferTypes = {
  i1: 1,
  i8: 2,
  i32: 4,
  i64: 5,
  u8: 6,
  u32: 8,
  u64: 9,
  f16: 10,
  f32: 11,
  bf16: 13,
} as const;

/** PJRT_HostBufferSemantics: the data is copied before the call returns. */
export const IMMUTABLE_ONLY_DURING_CALL = 0;
/** PJRT_NamedValue_Type. */
export const namedValueTypes = { string: 0, int64: 1, int64List: 2, float: 3, bool: 4 } as const;

export interface Layout {
  /** struct_size: the end of the last field, without padding. */
  readonly size: number;
  readonly fields: ReadonlyMap<string, { readonly kind: FieldKind; readonly offset: number }>;
}

/** Offsets by C's rule: each field at a multiple of its own size. */
export function layoutOf(fields: Fields): Layout {
  const placed = new Map<string, { kind: FieldKind; offset: number }>();
  let end = HEADER_BYTES;
  for (const [name, kind] of Object.entries(fields)) {
    const size = bytesOfKind[kind];
    const offset = Math.ceil(end / size) * size;
    placed.set(name, { kind, offset });
    end = offset + size;
  }
  return { size: end, fields: placed };
}
