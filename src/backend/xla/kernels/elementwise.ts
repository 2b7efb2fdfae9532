/** One element in, one element out. */
import type { ElementType } from "../executor.ts";
import type { Value } from "../graph.ts";
import {
  add,
  and,
  type BinaryName,
  binary,
  type Comparison,
  compare,
  constant,
  convert,
  divide,
  finite,
  maximum,
  minimum,
  multiply,
  or,
  reshape,
  select,
  subtract,
  type UnaryName,
  unary,
} from "../hlo.ts";
import { defineKernel } from "./define.ts";

const ORDER: readonly ElementType[] = ["i1", "i32", "bf16", "f32"];

/** Both operands under the wider of their types, as tfjs's upcastType. */
function promoted(a: Value, b: Value): [Value, Value] {
  const wider = ORDER[Math.max(ORDER.indexOf(a.type), ORDER.indexOf(b.type))]!;
  return [convert(a, wider), convert(b, wider)];
}

const numeric = (x: Value) => (x.type === "i1" ? convert(x, "i32") : x);
const floating = (x: Value) => (x.type === "f32" ? x : convert(x, "f32"));

/** The quotient's floor; integers by way of floats, exact up to 2^24 as on tfjs's other backends. */
function floorDivide(a: Value, b: Value): Value {
  if (a.type === "f32") return unary("floor", divide(a, b));
  return convert(unary("floor", divide(floating(a), floating(b))), a.type);
}

/** The remainder with the divisor's sign. */
function floorModulo(a: Value, b: Value): Value {
  const rest = binary("remainder", a, b);
  const zero = constant(a.type, 0);
  const differs = compare("NE", compare("LT", rest, zero), compare("LT", b, zero));
  return select(and(differs, compare("NE", rest, zero)), add(rest, b), rest);
}

/** tfjs's erf: Abramowitz and Stegun 7.1.26, on every backend the same polynomial. */
function erf(x: Value): Value {
  const magnitude = unary("abs", x);
  const one = constant("f32", 1);
  const t = divide(one, add(one, multiply(constant("f32", 0.3275911), magnitude)));
  let sum = constant("f32", 1.061405429);
  for (const coefficient of [-1.453152027, 1.421413741, -0.284496736, 0.254829592]) {
    sum = add(multiply(sum, t), constant("f32", coefficient));
  }
  const decay = unary("exponential", unary("negate", multiply(magnitude, magnitude)));
  return multiply(unary("sign", x), subtract(one, multiply(multiply(sum, t), decay)));
}

export function registerElementwise(): void {
  const arithmetic = (kernel: string, name: BinaryName) =>
    defineKernel(kernel, (input) => {
      const [a, b] = promoted(numeric(input("a")), numeric(input("b")));
      return binary(name, a, b);
    });
  arithmetic("Add", "add");
  arithmetic("Sub", "subtract");
  arithmetic("Multiply", "multiply");
  arithmetic("Pow", "power");
  arithmetic("Maximum", "maximum");
  arithmetic("Minimum", "minimum");
  arithmetic("Atan2", "atan2");
  defineKernel("RealDiv", (input) =>
    divide(...(promoted(floating(input("a")), floating(input("b"))) as [Value, Value])),
  );
  defineKernel("FloorDiv", (input) => floorDivide(...promoted(input("a"), input("b"))));
  defineKernel("Mod", (input) => floorModulo(...promoted(input("a"), input("b"))));
  defineKernel("SquaredDifference", (input) => {
    const difference = subtract(...promoted(input("a"), input("b")));
    return multiply(difference, difference);
  });
  defineKernel("AddN", (input) => input.all().reduce(add));

  const comparison = (kernel: string, direction: Comparison) =>
    defineKernel(kernel, (input) => compare(direction, ...promoted(input("a"), input("b"))));
  comparison("Equal", "EQ");
  comparison("NotEqual", "NE");
  comparison("Less", "LT");
  comparison("LessEqual", "LE");
  comparison("Greater", "GT");
  comparison("GreaterEqual", "GE");
  defineKernel("LogicalAnd", (input) => and(input("a"), input("b")));
  defineKernel("LogicalOr", (input) => or(input("a"), input("b")));
  defineKernel("LogicalXor", (input) => binary("xor", input("a"), input("b")));
  defineKernel("LogicalNot", (input) => unary("not", input("x")));

  /** Kept in the input's type where tfjs keeps it, in f32 where it gives floats. */
  const each = (kernel: string, name: UnaryName, keepsType = false) =>
    defineKernel(kernel, (input) => unary(name, keepsType ? input("x") : floating(input("x"))));
  each("Neg", "negate", true);
  each("Abs", "abs", true);
  each("Sign", "sign", true);
  each("Exp", "exponential");
  each("Expm1", "exponential_minus_one");
  each("Log", "log");
  each("Log1p", "log_plus_one");
  each("Sqrt", "sqrt");
  each("Rsqrt", "rsqrt");
  each("Cos", "cosine");
  each("Sin", "sine");
  each("Tan", "tan");
  each("Tanh", "tanh");
  each("Sigmoid", "logistic");
  each("Floor", "floor");
  each("Ceil", "ceil");
  each("Round", "round_nearest_even");
  defineKernel("Square", (input) => multiply(input("x"), input("x")));
  defineKernel("Reciprocal", (input) => divide(constant("f32", 1), floating(input("x"))));
  defineKernel("Erf", (input) => erf(floating(input("x"))));
  defineKernel("Softplus", (input) => {
    // log(1 + e^x) without overflow
    const x = input("x");
    const tail = unary("log_plus_one", unary("exponential", unary("negate", unary("abs", x))));
    return add(maximum(x, constant("f32", 0)), tail);
  });
  defineKernel("Relu", (input) => maximum(input("x"), constant(input("x").type, 0)));
  defineKernel("Relu6", (input) =>
    minimum(maximum(input("x"), constant(input("x").type, 0)), constant(input("x").type, 6)),
  );
  defineKernel("LeakyRelu", (input, { alpha }) => {
    const x = input("x");
    return select(compare("GT", x, constant("f32", 0)), x, multiply(x, constant("f32", alpha)));
  });
  defineKernel("Elu", (input) => {
    const x = input("x");
    return select(compare("GE", x, constant("f32", 0)), x, unary("exponential_minus_one", x));
  });
  defineKernel("Step", (input, { alpha }) => {
    const x = floating(input("x"));
    const slope = select(
      compare("GT", x, constant("f32", 0)),
      constant("f32", 1),
      constant("f32", alpha ?? 0),
    );
    return select(compare("NE", x, x), x, slope);
  });
  defineKernel("ClipByValue", (input, { clipValueMin, clipValueMax }) => {
    const x = input("x");
    return minimum(maximum(x, constant(x.type, clipValueMin)), constant(x.type, clipValueMax));
  });
  defineKernel("IsNan", (input) => compare("NE", input("x"), input("x")));
  defineKernel("IsFinite", (input) => finite(floating(input("x"))));
  defineKernel("IsInf", (input) => {
    const x = unary("abs", floating(input("x")));
    return compare("EQ", x, constant("f32", Infinity));
  });
  defineKernel("Cast", (input, { dtype }) => {
    const x = input("x");
    if (dtype === "bool") return compare("NE", x, constant(x.type, 0));
    return convert(x, dtype === "float32" ? "f32" : "i32");
  });
  defineKernel("Select", (input) => {
    const [t, e] = promoted(input("t"), input("e"));
    const condition = input("condition");
    const missing = t.shape.length - condition.shape.length;
    // a vector chooses whole rows
    return select(reshape(condition, [...condition.shape, ...Array<number>(missing).fill(1)]), t, e);
  });
}
