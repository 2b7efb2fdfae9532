/** Complex numbers of many digits: they decide where double precision only screens. */
import { Decimal } from "decimal.js";

/** Arithmetic at one precision. Values are plain pairs; methods return new ones. */
export interface PreciseValue {
  readonly re: Decimal;
  readonly im: Decimal;
}

/** Beyond this size the argument of a sine has no digits left. */
const MAX_ANGLE = new Decimal("1e30");

export class PreciseArithmetic {
  readonly #Number: typeof Decimal;
  readonly digits: number;
  /** Decimal exponent of the largest value met: rounding errors are a fixed number of digits below it. */
  largest = Number.NEGATIVE_INFINITY;

  constructor(digits: number) {
    this.digits = digits;
    this.#Number = Decimal.clone({ precision: digits, defaults: true });
  }

  of(re: Decimal.Value, im: Decimal.Value = 0): PreciseValue {
    return this.met(new this.#Number(re), new this.#Number(im));
  }

  private met(re: Decimal, im: Decimal): PreciseValue {
    for (const part of [re, im])
      if (part.isFinite() && !part.isZero()) this.largest = Math.max(this.largest, part.e);
    return { re, im };
  }

  quotient(numerator: bigint, denominator: bigint): PreciseValue {
    return this.met(new this.#Number(numerator.toString()).div(denominator.toString()), new this.#Number(0));
  }

  pi(): PreciseValue {
    return this.met(this.#Number.acos(-1), new this.#Number(0));
  }

  nan(): PreciseValue {
    return this.of(Number.NaN);
  }

  isReal(z: PreciseValue): boolean {
    return z.im.isZero();
  }

  add(a: PreciseValue, b: PreciseValue): PreciseValue {
    return this.met(a.re.plus(b.re), a.im.plus(b.im));
  }

  sub(a: PreciseValue, b: PreciseValue): PreciseValue {
    return this.met(a.re.minus(b.re), a.im.minus(b.im));
  }

  neg(z: PreciseValue): PreciseValue {
    return { re: z.re.neg(), im: z.im.isZero() ? z.im : z.im.neg() };
  }

  mul(a: PreciseValue, b: PreciseValue): PreciseValue {
    if (this.isReal(a) && this.isReal(b)) return this.met(a.re.times(b.re), a.im.times(0));
    return this.met(a.re.times(b.re).minus(a.im.times(b.im)), a.re.times(b.im).plus(a.im.times(b.re)));
  }

  div(a: PreciseValue, b: PreciseValue): PreciseValue {
    if (this.isReal(b)) return this.met(a.re.div(b.re), a.im.isZero() ? a.im : a.im.div(b.re));
    const size = b.re.times(b.re).plus(b.im.times(b.im));
    return this.met(
      a.re.times(b.re).plus(a.im.times(b.im)).div(size),
      a.im.times(b.re).minus(a.re.times(b.im)).div(size),
    );
  }

  abs(z: PreciseValue): PreciseValue {
    return this.of(this.isReal(z) ? z.re.abs() : this.#Number.hypot(z.re, z.im));
  }

  sqrt(z: PreciseValue): PreciseValue {
    if (this.isReal(z))
      return z.re.isNeg() && !z.re.isZero() ? this.of(0, z.re.neg().sqrt()) : this.of(z.re.sqrt());
    const size = this.#Number.hypot(z.re, z.im);
    const re = size.plus(z.re).div(2).sqrt();
    const im = size.minus(z.re).div(2).sqrt();
    return this.of(re, z.im.isNeg() ? im.neg() : im);
  }

  exp(z: PreciseValue): PreciseValue {
    const size = z.re.exp();
    if (this.isReal(z)) return this.of(size);
    return this.of(size.times(this.realCos(z.im)), size.times(this.realSin(z.im)));
  }

  log(z: PreciseValue): PreciseValue {
    if (this.isReal(z) && z.re.gt(0)) return this.of(z.re.ln());
    return this.of(this.#Number.hypot(z.re, z.im).ln(), this.#Number.atan2(z.im, z.re));
  }

  pow(base: PreciseValue, exponent: PreciseValue): PreciseValue {
    if (this.isReal(exponent)) {
      const whole = exponent.re.isInteger();
      if (this.isReal(base) && (whole || !base.re.isNeg())) return this.of(base.re.pow(exponent.re));
      if (whole && exponent.re.abs().lte(1000)) return this.wholePower(base, exponent.re.toNumber());
    }
    return this.exp(this.mul(exponent, this.log(base)));
  }

  private wholePower(base: PreciseValue, exponent: number): PreciseValue {
    let result = this.of(1);
    let square = base;
    for (let rest = Math.abs(exponent); rest > 0; rest = Math.floor(rest / 2)) {
      if (rest % 2 === 1) result = this.mul(result, square);
      square = this.mul(square, square);
    }
    return exponent < 0 ? this.div(this.of(1), result) : result;
  }

  /** The real root of a negative number where the index is odd, as schools have it. */
  root(z: PreciseValue, index: PreciseValue): PreciseValue {
    if (this.isReal(index) && index.re.eq(2)) return this.sqrt(z);
    const inverse = this.div(this.of(1), index);
    const odd = this.isReal(index) && index.re.isInteger() && !index.re.mod(2).isZero();
    if (odd && this.isReal(z) && z.re.isNeg()) return this.neg(this.pow(this.neg(z), inverse));
    return this.pow(z, inverse);
  }

  private realSin(angle: Decimal): Decimal {
    return angle.abs().gt(MAX_ANGLE) ? new this.#Number(Number.NaN) : angle.sin();
  }

  private realCos(angle: Decimal): Decimal {
    return angle.abs().gt(MAX_ANGLE) ? new this.#Number(Number.NaN) : angle.cos();
  }

  sin(z: PreciseValue): PreciseValue {
    if (this.isReal(z)) return this.of(this.realSin(z.re));
    return this.of(this.realSin(z.re).times(z.im.cosh()), this.realCos(z.re).times(z.im.sinh()));
  }

  cos(z: PreciseValue): PreciseValue {
    if (this.isReal(z)) return this.of(this.realCos(z.re));
    return this.of(this.realCos(z.re).times(z.im.cosh()), this.realSin(z.re).times(z.im.sinh()).neg());
  }

  sinh(z: PreciseValue): PreciseValue {
    return this.div(this.sub(this.exp(z), this.exp(this.neg(z))), this.of(2));
  }

  cosh(z: PreciseValue): PreciseValue {
    return this.div(this.add(this.exp(z), this.exp(this.neg(z))), this.of(2));
  }

  asin(z: PreciseValue): PreciseValue {
    if (this.isReal(z) && z.re.abs().lte(1)) return this.of(z.re.asin());
    // -i log(i z + sqrt(1 - z^2))
    const root = this.sqrt(this.sub(this.of(1), this.mul(z, z)));
    return this.mul(this.of(0, -1), this.log(this.add(this.mul(this.of(0, 1), z), root)));
  }

  acos(z: PreciseValue): PreciseValue {
    if (this.isReal(z) && z.re.abs().lte(1)) return this.of(z.re.acos());
    return this.sub(this.div(this.pi(), this.of(2)), this.asin(z));
  }

  atan(z: PreciseValue): PreciseValue {
    if (this.isReal(z)) return this.of(z.re.atan());
    const turned = this.mul(this.of(0, 1), z);
    const logs = this.sub(this.log(this.sub(this.of(1), turned)), this.log(this.add(this.of(1), turned)));
    return this.mul(this.of(0, "0.5"), logs);
  }

  /** Rounded down or up; a value that is whole but for its rounding errors counts as whole. */
  step(z: PreciseValue, up: boolean): PreciseValue {
    const nearest = z.re.round();
    const noise = new this.#Number(10).pow(Math.max(this.largest, 0) - this.digits + 10);
    if (z.re.minus(nearest).abs().lte(noise)) return this.of(nearest);
    return this.of(up ? z.re.ceil() : z.re.floor());
  }
}
