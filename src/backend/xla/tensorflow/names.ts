/** Names of the two libraries on this platform: TensorFlow's C API is in both, the second is what the first needs. */
export const libraryNames: readonly [string, string] =
  process.platform === "darwin"
    ? ["libtensorflow_cc.2.dylib", "libtensorflow_framework.2.dylib"]
    : ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"];
