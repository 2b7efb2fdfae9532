/** A CBLAS library opened by `koffi`: `sgemm` on raw addresses, checked before it is used. */
import { existsSync, readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import koffi from "koffi";
import { cacheDir } from "../../lib/cache.ts";
import { BackendError } from "../../lib/errors.ts";

export interface CblasLibrary {
  readonly path: string;
  /** Prefix and suffix of its symbols, integer width, threads: for `rlpt doctor` and provenance. */
  describe(): string;
  /** Address of an ArrayBuffer's first byte; it changes when a wasm heap grows. */
  addressOf(buffer: ArrayBufferLike): number;
  /** C = op(A) op(B), row-major, float32; `a`, `b`, `c` are addresses, `ld*` stored row lengths. */
  sgemm(
    transA: boolean,
    transB: boolean,
    m: number,
    n: number,
    k: number,
    a: number,
    lda: number,
    b: number,
    ldb: number,
    c: number,
    ldc: number,
  ): void;
  /** @returns whether the library can be told (Accelerate cannot) */
  setThreads(threads: number): boolean;
}

const rowMajor = 101;
const asIs = 111;
const transposed = 112;

/** Reference product in float64. @returns [m, n] row-major */
function reference(
  a: Float32Array,
  b: Float32Array,
  transA: boolean,
  transB: boolean,
  m: number,
  n: number,
  k: number,
): Float64Array {
  const out = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let p = 0; p < k; p++) {
        sum += a[transA ? p * m + i : i * k + p]! * b[transB ? j * k + p : p * n + j]!;
      }
      out[i * n + j] = sum;
    }
  }
  return out;
}

/** Small odd products in all four transpositions against float64. @throws BackendError on a wrong number */
export function selfTestCblas(library: CblasLibrary): void {
  const shapes = [
    [1, 1, 1],
    [3, 5, 7],
    [17, 9, 33],
    [8, 1, 5],
    [1, 31, 2],
  ] as const;
  for (const [m, n, k] of shapes) {
    for (const transA of [false, true]) {
      for (const transB of [false, true]) {
        const a = Float32Array.from({ length: m * k }, (_, i) => Math.sin(1 + 3 * i));
        const b = Float32Array.from({ length: k * n }, (_, i) => Math.cos(2 + 5 * i));
        const c = new Float32Array(m * n).fill(Number.NaN);
        const [x, y, z] = [a, b, c].map((part) => library.addressOf(part.buffer)) as [number, number, number];
        library.sgemm(transA, transB, m, n, k, x, transA ? m : k, y, transB ? k : n, z, n);
        const want = reference(a, b, transA, transB, m, n, k);
        for (let i = 0; i < c.length; i++) {
          if (!(Math.abs(c[i]! - want[i]!) <= 1e-5 * (1 + k))) {
            throw new BackendError(
              `${library.path}: sgemm is wrong: [${m},${k}]${transA ? " transposed" : ""} x [${k},${n}]${transB ? " transposed" : ""}, element ${i}: ${c[i]} instead of ${want[i]}; use another CBLAS library (RLPT_CBLAS)`,
            );
          }
        }
      }
    }
  }
}

/**
 * Opens a CBLAS library, finds out how its symbols are called, and tests it.
 * Plain names, the prefix `scipy_`, and the suffix `64_` (64-bit integers) are known.
 * @param options threads: default all available cores
 * @throws BackendError when it cannot be opened, exports no sgemm, or computes wrongly
 */
export function openCblas(path: string, options: { threads?: number } = {}): CblasLibrary {
  let library: ReturnType<typeof koffi.load>;
  try {
    library = koffi.load(path);
  } catch (error) {
    throw new BackendError(`${path}: cannot be loaded: ${error instanceof Error ? error.message : error}`);
  }
  // 32-bit integers first: a build that exports both keeps the usual meaning for the plain name
  const names = ["", "scipy_"].flatMap((prefix) => ["", "64_"].map((suffix) => ({ prefix, suffix })));
  for (const { prefix, suffix } of names) {
    const int = suffix === "" ? "int" : "int64_t";
    let call: (...args: number[]) => void;
    try {
      call = library.func(`${prefix}cblas_sgemm${suffix}`, "void", [
        "int",
        "int",
        "int",
        int,
        int,
        int,
        "float",
        "uintptr_t",
        int,
        "uintptr_t",
        int,
        "float",
        "uintptr_t",
        int,
      ]);
    } catch {
      continue;
    }
    let threadSetter: ((threads: number) => void) | null = null;
    try {
      threadSetter = library.func(`${prefix}openblas_set_num_threads${suffix}`, "void", ["int"]);
    } catch {
      // not OpenBLAS
    }
    let threads = options.threads ?? availableParallelism();
    threadSetter?.(threads);
    const opened: CblasLibrary = {
      path,
      describe: () =>
        `${path} (${prefix}cblas_sgemm${suffix}${threadSetter ? `, ${threads} thread${threads === 1 ? "" : "s"}` : ""})`,
      addressOf: (buffer) => Number(koffi.address(buffer as ArrayBuffer)),
      sgemm: (transA, transB, m, n, k, a, lda, b, ldb, c, ldc) => {
        call(
          rowMajor,
          transA ? transposed : asIs,
          transB ? transposed : asIs,
          m,
          n,
          k,
          1,
          a,
          lda,
          b,
          ldb,
          0,
          c,
          ldc,
        );
      },
      setThreads: (count) => {
        threads = count;
        threadSetter?.(count);
        return threadSetter !== null;
      },
    };
    selfTestCblas(opened);
    return opened;
  }
  throw new BackendError(`${path}: exports no cblas_sgemm (nor with the prefix scipy_ or the suffix 64_)`);
}

/** Folder that `rlpt backend install openblas` fills. */
export function openblasCacheFolder(): string {
  return join(cacheDir(), "openblas");
}

const libraryFile = /\.(so(\.\d+)*|dylib|dll)$/;

/** Where a CBLAS may be, most wanted first: $RLPT_CBLAS, our cache folder, the system. */
function candidates(): string[] {
  const list: string[] = [];
  if (process.env["RLPT_CBLAS"]) list.push(process.env["RLPT_CBLAS"]);
  const folder = openblasCacheFolder();
  if (existsSync(folder)) {
    const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => libraryFile.test(name) && /openblas/i.test(name))
      .sort();
    list.push(...files.map((name) => join(folder, name)));
  }
  if (process.platform === "darwin") {
    list.push("/System/Library/Frameworks/Accelerate.framework/Accelerate");
  } else if (process.platform === "linux") {
    const triple = { x64: "x86_64-linux-gnu", arm64: "aarch64-linux-gnu" }[process.arch as string];
    for (const root of triple ? [`/usr/lib/${triple}`] : []) {
      list.push(
        `${root}/openblas-pthread/libopenblas.so.0`,
        `${root}/openblas-openmp/libopenblas.so.0`,
        `${root}/libopenblas.so.0`,
      );
    }
    list.push("libopenblas.so.0", "libopenblas.so", "libblas.so.3");
  } else if (process.platform === "win32") {
    list.push("libopenblas.dll", "openblas.dll");
  }
  return list;
}

/**
 * The first CBLAS that opens and passes its self-test.
 * @param searchPaths instead of the usual places
 * @returns the library or null, and why each candidate before it was passed over
 */
export function findCblas(searchPaths: readonly string[] = candidates()): {
  library: CblasLibrary | null;
  tried: { path: string; reason: string }[];
} {
  const tried: { path: string; reason: string }[] = [];
  for (const path of searchPaths) {
    if (path.includes("/") && !path.includes(".framework/") && !existsSync(path)) {
      tried.push({ path, reason: "no such file" });
      continue;
    }
    try {
      return { library: openCblas(path), tried };
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      tried.push({
        path,
        reason: message.startsWith(`${path}: `) ? message.slice(path.length + 2) : message,
      });
    }
  }
  return { library: null, tried };
}
