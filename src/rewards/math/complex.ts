/** mathjs's complex numbers (complex.js): the type its declarations leave out. Methods return new values. */
import * as mathjs from "mathjs";

export interface Complex {
  readonly re: number;
  readonly im: number;
  abs(): number;
  neg(): Complex;
  add(other: Complex): Complex;
  sub(other: Complex): Complex;
  mul(other: Complex): Complex;
  div(other: Complex): Complex;
  pow(other: Complex): Complex;
  sqrt(): Complex;
  exp(): Complex;
  log(): Complex;
  sin(): Complex;
  cos(): Complex;
  tan(): Complex;
  cot(): Complex;
  sec(): Complex;
  csc(): Complex;
  sinh(): Complex;
  cosh(): Complex;
  tanh(): Complex;
  asin(): Complex;
  acos(): Complex;
  atan(): Complex;
}

// a plain property access, so that the bundler leaves the rest of mathjs out
const Constructor = (mathjs as unknown as { Complex: new (re: number, im: number) => Complex }).Complex;

export const complex = (re: number, im = 0): Complex => new Constructor(re, im);
