import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import {
  type CblasLibrary,
  findCblas,
  openblasCacheFolder,
  openCblas,
  selfTestCblas,
} from "../../src/backend/wasm/cblas.ts";
import { cacheDir } from "../../src/lib/cache.ts";
import { cblasForTests, expectClose, noise } from "./wasm-support.ts";

const available = cblasForTests();

afterEach(() => {
  vi.unstubAllEnvs();
});

describe("cacheDir", () => {
  it("takes RLPT_CACHE, then XDG_CACHE_HOME, then the platform's place", () => {
    vi.stubEnv("RLPT_CACHE", "/a/cache");
    vi.stubEnv("XDG_CACHE_HOME", "/xdg");
    expect(cacheDir()).toBe("/a/cache");
    expect(openblasCacheFolder()).toBe(join("/a/cache", "openblas"));
    vi.stubEnv("RLPT_CACHE", "");
    expect(cacheDir()).toBe(join("/xdg", "rlpt"));
    vi.stubEnv("XDG_CACHE_HOME", "");
    expect(cacheDir().startsWith(homedir()) || process.platform === "win32").toBe(true);
    expect(cacheDir()).toMatch(/rlpt$/);
  });
});

describe("findCblas", () => {
  it("says for each place why it was passed over", () => {
    const folder = mkdtempSync(join(tmpdir(), "rlpt-cblas-"));
    try {
      const fake = join(folder, "libopenblas.so");
      writeFileSync(fake, "not a library");
      const missing = join(folder, "none.so");
      const { library, tried } = findCblas([missing, fake]);
      expect(library).toBeNull();
      expect(tried.map(({ path }) => path)).toEqual([missing, fake]);
      expect(tried[0]!.reason).toBe("no such file");
      expect(tried[1]!.reason).toContain("cannot be loaded");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("looks first at RLPT_CBLAS, then in our cache folder", () => {
    const folder = mkdtempSync(join(tmpdir(), "rlpt-cblas-"));
    try {
      vi.stubEnv("RLPT_CBLAS", join(folder, "wanted.so"));
      vi.stubEnv("RLPT_CACHE", join(folder, "no-cache"));
      expect(findCblas().tried[0]?.path).toBe(join(folder, "wanted.so"));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it.runIf(process.platform === "linux")("refuses a library without sgemm", () => {
    expect(() => openCblas("libm.so.6")).toThrow(/libm\.so\.6: exports no cblas_sgemm/);
  });
});

describe("the self-test", () => {
  /** A library in plain JavaScript whose addresses are places in a list of buffers. */
  function scripted(fault: "none" | "scale" | "no transposition" | "nothing written"): CblasLibrary {
    const buffers: ArrayBufferLike[] = [];
    return {
      path: "scripted",
      describe: () => "scripted",
      addressOf: (buffer) => buffers.push(buffer) - 1,
      setThreads: () => false,
      sgemm: (transA, transB, m, n, k, a, lda, b, ldb, c, ldc) => {
        if (fault === "nothing written") return;
        const [x, y, z] = [a, b, c].map((at) => new Float32Array(buffers[at]!)) as [
          Float32Array,
          Float32Array,
          Float32Array,
        ];
        const flip = transA && fault !== "no transposition";
        for (let i = 0; i < m; i++) {
          for (let j = 0; j < n; j++) {
            let sum = 0;
            for (let p = 0; p < k; p++) {
              sum += x[flip ? p * lda + i : i * lda + p]! * y[transB ? j * ldb + p : p * ldb + j]!;
            }
            z[i * ldc + j] = fault === "scale" ? 1.001 * sum : sum;
          }
        }
      },
    };
  }

  it("passes a right library and refuses wrong ones", () => {
    selfTestCblas(scripted("none"));
    for (const fault of ["scale", "no transposition", "nothing written"] as const) {
      expect(() => selfTestCblas(scripted(fault))).toThrow(/scripted: sgemm is wrong/);
    }
  });
});

describe.skipIf(!available)("an opened CBLAS", () => {
  it("multiplies in place and can be told its threads", () => {
    const library = openCblas(available!.path, { threads: 1 });
    expect(library.describe()).toContain("cblas_sgemm");
    const heap = noise(3 * 64 * 64, 4); // a, b and c in one buffer, as on the wasm heap
    const [a, b] = [heap.slice(0, 4096), heap.slice(4096, 8192)];
    const base = library.addressOf(heap.buffer);
    const want = new Float64Array(4096);
    for (let i = 0; i < 64; i++) {
      for (let j = 0; j < 64; j++) {
        for (let p = 0; p < 64; p++) want[i * 64 + j]! += a[p * 64 + i]! * b[p * 64 + j]!;
      }
    }
    for (const threads of [1, 2]) {
      library.setThreads(threads);
      heap.fill(7, 8192);
      library.sgemm(true, false, 64, 64, 64, base, 64, base + 16_384, 64, base + 32_768, 64);
      expectClose(heap.subarray(8192), want, { relative: 1e-5, absolute: 1e-4 });
      expectClose(heap.subarray(0, 8192), [...a, ...b], { relative: 0, absolute: 0 });
    }
  });
});
