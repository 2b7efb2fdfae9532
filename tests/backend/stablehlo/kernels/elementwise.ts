import fc from "fast-check";
import { it } from "vitest";
import { type Case, check, given, input } from "./cases.ts";
import { elementwise, round } from "./reference.ts";

type Real = (x: number) => number;

const erf: Real = (x) => {
  // Taylor series near 0, continued fraction's tail elsewhere is below what float32 can see
  if (Math.abs(x) > 4) return Math.sign(x);
  let [term, sum] = [x, x];
  for (let n = 1; n < 200; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
};

/** One float to one float. */
const unaryFloat: Record<string, Real | { fn: Real; attrs?: object; absolute?: number; cpu?: boolean }> = {
  Neg: (x) => -x,
  Abs: Math.abs,
  // NaN stays NaN; tfjs's cpu backend says 0
  Sign: { fn: Math.sign, cpu: false },
  Exp: Math.exp,
  Expm1: Math.expm1,
  Log: Math.log,
  Log1p: Math.log1p,
  Sqrt: Math.sqrt,
  Rsqrt: (x) => 1 / Math.sqrt(x),
  Cos: Math.cos,
  Sin: Math.sin,
  Tan: Math.tan,
  Tanh: Math.tanh,
  Sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  Floor: Math.floor,
  Ceil: Math.ceil,
  Round: round,
  Square: (x) => x * x,
  Reciprocal: (x) => 1 / x,
  Erf: { fn: erf, absolute: 1e-6 },
  Softplus: (x) => (x > 30 ? x : Math.log1p(Math.exp(x))),
  Relu: (x) => Math.max(x, 0),
  Relu6: (x) => Math.min(6, Math.max(x, 0)),
  LeakyRelu: { fn: (x) => (x > 0 ? x : 0.2 * x), attrs: { alpha: 0.2 } },
  Elu: (x) => (x >= 0 ? x : Math.expm1(x)),
  Step: { fn: (x) => (Number.isNaN(x) ? x : x > 0 ? 1 : 0.3), attrs: { alpha: 0.3 } },
  ClipByValue: {
    fn: (x) => Math.min(1.25, Math.max(-0.5, x)),
    attrs: { clipValueMin: -0.5, clipValueMax: 1.25 },
  },
  Identity: (x) => x,
  StopGradient: { fn: (x) => x, cpu: false },
  ZerosLike: () => 0,
  OnesLike: () => 1,
};

const specials = [
  ...[0, -0, NaN, Infinity, -Infinity, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 1e-8, -1e-8],
  ...[3.7, -3.7, 20, -20, 0.9999999, -0.9999999, 6.5, 1e-30, 3e4],
];

function unaryCase(kernel: string, x: ReturnType<typeof input>): Case {
  const entry = unaryFloat[kernel]!;
  const { fn, attrs = {}, absolute, cpu } = typeof entry === "function" ? { fn: entry } : entry;
  return {
    kernel,
    inputs: { x },
    attrs: attrs as Record<string, unknown>,
    want: elementwise(fn, x),
    ...(absolute !== undefined && { absolute }),
    // tfjs's erf polynomial gives NaN for infinities, its softplus rounds away what is small
    cpu: cpu ?? true,
  };
}

/** Two operands to one, of one type. */
type Pairwise = (a: number, b: number) => number;
const floorMod: Pairwise = (a, b) => {
  const rest = a % b;
  return rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest;
};
const arithmetic: Record<string, Pairwise> = {
  Add: (a, b) => a + b,
  Sub: (a, b) => a - b,
  Multiply: (a, b) => a * b,
  Maximum: Math.max,
  Minimum: Math.min,
  SquaredDifference: (a, b) => (a - b) ** 2,
  FloorDiv: (a, b) => Math.floor(a / b),
  Mod: floorMod,
  Pow: (a, b) => a ** b,
};
/** Of floats an integer too, as in tfjs. */
const isWhole = (kernel: string, floats: boolean) => kernel === "FloorDiv" || !floats;
const floatsOnly: Record<string, Pairwise> = { RealDiv: (a, b) => a / b, Atan2: Math.atan2 };
const comparisons: Record<string, Pairwise> = {
  Equal: (a, b) => Number(a === b),
  NotEqual: (a, b) => Number(a !== b),
  Less: (a, b) => Number(a < b),
  LessEqual: (a, b) => Number(a <= b),
  Greater: (a, b) => Number(a > b),
  GreaterEqual: (a, b) => Number(a >= b),
};
const logical: Record<string, Pairwise> = {
  LogicalAnd: (a, b) => a & b,
  LogicalOr: (a, b) => a | b,
  LogicalXor: (a, b) => a ^ b,
};

/** What Int32Array keeps of a quotient: 0 where there is none. */
const wrapped =
  (fn: Pairwise): Pairwise =>
  (a, b) => {
    const value = fn(a, b);
    return Number.isFinite(value) ? value | 0 : 0;
  };

export function elementwiseTests(): void {
  it("one operand: floats with every special value, and a scalar", async () => {
    await check(
      Object.keys(unaryFloat).flatMap((kernel) => [
        unaryCase(kernel, given(kernel === "Erf" ? specials.filter(Number.isFinite) : specials)),
        unaryCase(kernel, given([0.75], "float32", [])),
      ]),
    );
  });

  it("one operand: integers and bools", async () => {
    const x = given([0, 1, -1, 7, -7, 2 ** 24 - 1, 2, -3], "int32");
    const bits = given([0, 1, 1, 0], "bool");
    const whole: Record<string, Real> = {
      Neg: (v) => -v,
      Abs: Math.abs,
      Sign: Math.sign,
      Relu: (v) => Math.max(0, v),
      Relu6: (v) => Math.min(6, Math.max(0, v)),
      Floor: (v) => v,
      Ceil: (v) => v,
      Round: (v) => v,
      Identity: (v) => v,
      ZerosLike: () => 0,
      OnesLike: () => 1,
    };
    await check([
      ...Object.entries(whole).map(
        ([kernel, fn]): Case => ({ kernel, inputs: { x }, want: elementwise(fn, x), dtype: "int32" }),
      ),
      { kernel: "Square", inputs: { x: given([3, -4], "int32") }, want: given([9, 16]), dtype: "int32" },
      {
        kernel: "ClipByValue",
        inputs: { x },
        attrs: { clipValueMin: -2, clipValueMax: Infinity },
        want: elementwise((v) => Math.max(-2, v), x),
        dtype: "int32",
      },
      { kernel: "LogicalNot", inputs: { x: bits }, want: elementwise((v) => 1 - v, bits), dtype: "bool" },
      ...["ZerosLike", "OnesLike", "Identity"].map(
        (kernel): Case => ({
          kernel,
          inputs: { x: bits },
          want: elementwise((v) => ({ ZerosLike: 0, OnesLike: 1 })[kernel] ?? v, bits),
          dtype: "bool",
        }),
      ),
      ...["IsNan", "IsFinite", "IsInf"].flatMap((kernel): Case[] => {
        const fn = { IsNan: Number.isNaN, IsFinite: Number.isFinite, IsInf: (v: number) => !Number.isNaN(v) && !Number.isFinite(v) }[kernel]!; // biome-ignore format: a table
        return [given(specials), x].map((one) => ({
          kernel,
          inputs: { x: one },
          want: elementwise((v) => Number(fn(v)), one),
          dtype: "bool",
        }));
      }),
    ]);
  });

  it("two operands: floats with every special value against each other", async () => {
    const edge = [0, NaN, Infinity, -Infinity, 1.5, -2.5, 3, -0.25, 7];
    const a = given(edge, "float32", [edge.length, 1]);
    const b = given(edge);
    const modulo = (kernel: string) => kernel === "Mod";
    await check([
      ...Object.entries({ ...arithmetic, ...floatsOnly }).map(
        ([kernel, fn]): Case => ({
          kernel,
          inputs: { a, b },
          want: elementwise(isWhole(kernel, true) ? wrapped(fn) : fn, a, b),
          dtype: isWhole(kernel, true) ? "int32" : "float32",
          // tfjs gives NaN for finite mod infinity where the signs differ
          cpu: !modulo(kernel),
        }),
      ),
      ...Object.entries(comparisons).map(
        ([kernel, fn]): Case => ({ kernel, inputs: { a, b }, want: elementwise(fn, a, b), dtype: "bool" }),
      ),
      {
        kernel: "Mod",
        inputs: { a: given([5, -5, 5, -5, 5.5, -5.5]), b: given([3, 3, -3, -3, 2, -2]) },
        want: given([2, 1, -1, -2, 1.5, -1.5]),
      },
    ]);
  });

  it("two operands: integers, also beyond what floats hold, and by 0", async () => {
    const edge = [0, 1, -1, 5, -5, 3, -3];
    const a = given(edge, "int32", [edge.length, 1]);
    const b = given(edge, "int32");
    const large = given([16777217, -16777217, 2147483647, -2147483648, 2147483647], "int32");
    const small = given([1, 2, -2, 3, 7], "int32");
    await check([
      ...Object.entries(arithmetic).map(
        ([kernel, fn]): Case => ({
          kernel,
          inputs: { a, b },
          want: elementwise(wrapped(fn), a, b),
          dtype: "int32",
        }),
      ),
      ...["FloorDiv", "Mod"].map(
        (kernel): Case => ({
          kernel,
          inputs: { a: large, b: small },
          want: elementwise(arithmetic[kernel]!, large, small),
          dtype: "int32",
        }),
      ),
      ...Object.entries(comparisons).map(
        ([kernel, fn]): Case => ({ kernel, inputs: { a, b }, want: elementwise(fn, a, b), dtype: "bool" }),
      ),
    ]);
  });

  it("bools are counted as integers, and types that differ meet in the wider one", async () => {
    const p = given([0, 0, 1, 1], "bool");
    const q = given([0, 1, 0, 1], "bool");
    const whole = given([2, -3, 4, 5], "int32");
    const real = given([0.5, -1.25, 2, 3]);
    const kernels = Object.entries(arithmetic).filter(([kernel]) => kernel !== "Pow");
    await check([
      ...Object.entries(logical).map(
        ([kernel, fn]): Case => ({
          kernel,
          inputs: { a: p, b: q },
          want: elementwise(fn, p, q),
          dtype: "bool",
          cpu: kernel !== "LogicalXor",
        }),
      ),
      ...Object.entries(comparisons).map(
        ([kernel, fn]): Case => ({
          kernel,
          inputs: { a: p, b: q },
          want: elementwise(fn, p, q),
          dtype: "bool",
        }),
      ),
      // tfjs answers with bools that hold 2, or with the first operand's type: its operations cast before
      ...kernels.flatMap(([kernel, fn]): Case[] => [
        { kernel, inputs: { a: p, b: q }, want: elementwise(wrapped(fn), p, q), dtype: "int32", cpu: false },
        {
          kernel,
          inputs: { a: q, b: whole },
          want: elementwise(wrapped(fn), q, whole),
          dtype: "int32",
          cpu: false,
        },
        {
          kernel,
          inputs: { a: whole, b: real },
          want: elementwise(isWhole(kernel, true) ? wrapped(fn) : fn, whole, real),
          dtype: isWhole(kernel, true) ? "int32" : "float32",
          cpu: false,
        },
      ]),
      {
        kernel: "RealDiv",
        inputs: { a: whole, b: q },
        want: elementwise((x, y) => x / y, whole, q),
        cpu: false,
      },
    ]);
  });

  it("sums of lists, choices and casts", async () => {
    const t = input([3, 2], 1);
    const e = input([3, 2], 2);
    const full = input([3, 2], 3, "bool");
    const rows = given([1, 0, 1], "bool");
    const odd = given([NaN, 2.7, -2.7, 0, -0, 1e9, 0.2]);
    const whole = given([0, 1, -5], "int32");
    const bits = given([0, 1], "bool");
    await check([
      { kernel: "AddN", inputs: [t, e, t], want: elementwise((x, y) => 2 * x + y, t, e) },
      {
        kernel: "AddN",
        inputs: [whole, whole],
        want: elementwise((x) => 2 * x, whole),
        dtype: "int32",
      },
      {
        kernel: "Select",
        inputs: { condition: full, t, e },
        want: elementwise((c, x, y) => (c ? x : y), full, t, e),
      },
      {
        kernel: "Select",
        inputs: { condition: rows, t, e },
        want: elementwise((c, x, y) => (c ? x : y), { shape: [3, 1], values: rows.values }, t, e),
        // tfjs repeats the first numbers of its operands
        cpu: false,
      },
      ...(
        [
          [odd, "int32", (x) => (Number.isNaN(x) ? 0 : Math.trunc(x))],
          [odd, "bool", (x) => Number(x !== 0)],
          [whole, "float32", (x) => x],
          [whole, "bool", (x) => Number(x !== 0)],
          [bits, "float32", (x) => x],
          [bits, "int32", (x) => x],
          [bits, "bool", (x) => x],
        ] as [Case["want"] & ReturnType<typeof given>, "int32" | "bool" | "float32", Real][]
      ).map(
        ([x, dtype, fn]): Case => ({
          kernel: "Cast",
          inputs: { x },
          attrs: { dtype },
          want: elementwise(fn, x),
          dtype,
        }),
      ),
    ]);
  });

  it("any operation on any shapes that broadcast", async () => {
    const side = fc.constantFrom(1, 1, 2, 3, 0);
    const one = fc.record({
      shape: fc.array(side, { maxLength: 4 }),
      // which dimensions each operand lacks or has as 1
      flat: fc.tuple(fc.nat(15), fc.nat(15)),
      dropped: fc.tuple(fc.nat(4), fc.nat(4)),
      pick: fc.nat(1000),
      seed: fc.nat(10000),
      whole: fc.boolean(),
    });
    const pairs = Object.entries({ ...arithmetic, ...floatsOnly, ...comparisons });
    const singles = Object.keys(unaryFloat);
    await fc.assert(
      fc.asyncProperty(fc.array(one, { minLength: 25, maxLength: 25 }), async (draws) => {
        const cases = draws.map(({ shape, flat, dropped, pick, seed, whole }): Case => {
          const operand = (n: 0 | 1) =>
            shape.map((size, i) => ((flat[n] >> i) & 1 ? 1 : size)).slice(Math.min(dropped[n], shape.length));
          const [kernel, fn] = pairs[pick % pairs.length]!;
          if (pick % 3 === 0) return unaryCase(singles[pick % singles.length]!, input(operand(0), seed));
          const isFloat = !whole || kernel in floatsOnly;
          const a = input(operand(0), seed, isFloat ? "float32" : "int32");
          const b = input(operand(1), seed + 1, isFloat ? "float32" : "int32");
          const isTest = kernel in comparisons;
          return {
            kernel,
            inputs: { a, b },
            want: elementwise(isTest || !isWhole(kernel, isFloat) ? fn : wrapped(fn), a, b),
            dtype: isTest ? "bool" : isWhole(kernel, isFloat) ? "int32" : "float32",
            relative: 2e-5, // powers
          };
        });
        await check(cases);
      }),
      { numRuns: 4, seed: 11, endOnFailure: true },
    );
  });
}
