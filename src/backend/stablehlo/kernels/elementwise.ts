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
import { elementType } from "../host-arrays.ts";
import { defineKernel, type KernelInputs, numeric } from "./define.ts";

const ORDER: readonly ElementType[] = ["i1", "i32", "bf16", "f32"];

/** Both operands under the wider of their types, as tfjs's upcastType. */
function promoted(a: Value, b: Value): [Value, Value] {
  const wider = ORDER[Math.max(ORDER.indexOf(a.type), ORDER.indexOf(b.type))]!;
  return [convert(a, wider), convert(b, wider)];
}

const floating = (x: Value) => (x.type === "f32" ? x : convert(x, "f32"));
/** Zero of a type. */
const nil = (x: Value) => constant(x.type, 0);

/** The quotient's floor, an integer as in tfjs, of floats too; 0 where there is none. */
function floorDivide(a: Value, b: Value): Value {
  if (a.type === "f32") {
    const quotient = unary("floor", divide(a, b));
    return convert(select(finite(quotient), quotient, nil(quotient)), "i32");
  }
  const down = convert(oppositeSign(binary("remainder", a, b), b), a.type);
  return select(compare("EQ", b, nil(b)), nil(b), subtract(divide(a, b), down));
}

/** The remainder with the divisor's sign; of integers 0 where the divisor is. */
function floorModulo(a: Value, b: Value): Value {
  const rest = binary("remainder", a, b);
  const moved = select(oppositeSign(rest, b), add(rest, b), rest);
  return a.type === "f32" ? moved : select(compare("EQ", b, nil(b)), nil(b), moved);
}

/** Is there a remainder of another sign than the divisor's? */
function oppositeSign(rest: Value, b: Value): Value {
  const differs = compare("NE", compare("LT", rest, nil(rest)), compare("LT", b, nil(b)));
  return and(differs, compare("NE", rest, nil(rest)));
}

/** Powers of -1 apart: XLA of interface 0.81 folds those with a negative constant exponent to 0. */
function integerPower(a: Value, b: Value): Value {
  const one = constant("i32", 1);
  const odd = compare("EQ", and(b, one), one);
  const alternating = select(odd, constant("i32", -1), one);
  return select(compare("EQ", a, constant("i32", -1)), alternating, binary("power", a, b));
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
  const pair = (input: KernelInputs) => promoted(numeric(input("a")), numeric(input("b")));
  const arithmetic = (kernel: string, name: BinaryName) =>
    defineKernel(kernel, (input) => binary(name, ...pair(input)));
  arithmetic("Add", "add");
  arithmetic("Sub", "subtract");
  arithmetic("Multiply", "multiply");
  defineKernel("Pow", (input) => {
    const [a, b] = pair(input);
    return a.type === "i32" ? integerPower(a, b) : binary("power", a, b);
  });
  for (const [kernel, name] of [
    ["Maximum", "maximum"],
    ["Minimum", "minimum"],
  ] as const) {
    // XLA's processor code keeps a NaN of the first operand only
    defineKernel(kernel, (input) => {
      const [a, b] = pair(input);
      const extreme = binary(name, a, b);
      return a.type === "f32" ? select(compare("NE", b, b), b, extreme) : extreme;
    });
  }
  defineKernel("Atan2", (input) => binary("atan2", floating(input("a")), floating(input("b"))));
  defineKernel("RealDiv", (input) => divide(floating(input("a")), floating(input("b"))));
  defineKernel("FloorDiv", (input) => floorDivide(...pair(input)));
  defineKernel("Mod", (input) => floorModulo(...pair(input)));
  defineKernel("SquaredDifference", (input) => {
    const difference = subtract(...pair(input));
    return multiply(difference, difference);
  });
  defineKernel("AddN", (input) => input.all().map(numeric).reduce(add));

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
    defineKernel(kernel, (input) => unary(name, keepsType ? numeric(input("x")) : floating(input("x"))));
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
  /** Integers are whole already. */
  const whole = (kernel: string, name: UnaryName) =>
    defineKernel(kernel, (input) => (input("x").type === "f32" ? unary(name, input("x")) : input("x")));
  whole("Floor", "floor");
  whole("Ceil", "ceil");
  whole("Round", "round_nearest_even");
  defineKernel("Square", (input) => multiply(numeric(input("x")), numeric(input("x"))));
  defineKernel("Reciprocal", (input) => divide(constant("f32", 1), floating(input("x"))));
  defineKernel("Erf", (input) => erf(floating(input("x"))));
  defineKernel("Softplus", (input) => {
    // log(1 + e^x) without overflow
    const x = floating(input("x"));
    const tail = unary("log_plus_one", unary("exponential", unary("negate", unary("abs", x))));
    return add(maximum(x, constant("f32", 0)), tail);
  });
  defineKernel("Relu", (input) => maximum(numeric(input("x")), nil(numeric(input("x")))));
  defineKernel("Relu6", (input) =>
    minimum(maximum(numeric(input("x")), nil(numeric(input("x")))), constant(numeric(input("x")).type, 6)),
  );
  defineKernel("LeakyRelu", (input, { alpha }) => {
    const x = floating(input("x"));
    return select(compare("GT", x, constant("f32", 0)), x, multiply(x, constant("f32", alpha)));
  });
  defineKernel("Elu", (input) => {
    const x = floating(input("x"));
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
    const x = numeric(input("x"));
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
    return convert(x, elementType(dtype));
  });
  defineKernel("Select", (input) => {
    const [t, e] = promoted(input("t"), input("e"));
    const condition = input("condition");
    const missing = t.shape.length - condition.shape.length;
    // a vector chooses whole rows
    return select(reshape(condition, [...condition.shape, ...Array<number>(missing).fill(1)]), t, e);
  });
}
