// Small pieces every kernel uses. Rows are walked four floats at a time; what is left over at the end
// goes through `loadTail` and `storeTail`, so that nothing past a tensor's end is touched.

/** a * b + c in each lane; one rounding where the build has relaxed SIMD and the CPU has FMA. */
// @ts-ignore: decorator
@inline
export function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}

/** c - a * b in each lane. */
// @ts-ignore: decorator
@inline
export function nmadd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_nmadd(a, b, c);
  return f32x4.sub(c, f32x4.mul(a, b));
}

// @ts-ignore: decorator
@inline
export function sumLanes(v: v128): f32 {
  return f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 2) + (f32x4.extract_lane(v, 1) + f32x4.extract_lane(v, 3));
}

// @ts-ignore: decorator
@inline
export function maxLanes(v: v128): f32 {
  return max(max(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1)), max(f32x4.extract_lane(v, 2), f32x4.extract_lane(v, 3)));
}

/** 1 to 3 floats at `p`; the other lanes are `fill`. */
// @ts-ignore: decorator
@inline
export function loadTail(p: usize, count: i32, fill: f32): v128 {
  let v = v128.load32_lane(p, f32x4.splat(fill), 0);
  if (count > 1) v = v128.load32_lane(p + 4, v, 1);
  if (count > 2) v = v128.load32_lane(p + 8, v, 2);
  return v;
}

// @ts-ignore: decorator
@inline
export function storeTail(p: usize, count: i32, v: v128): void {
  v128.store32_lane(p, v, 0);
  if (count > 1) v128.store32_lane(p + 4, v, 1);
  if (count > 2) v128.store32_lane(p + 8, v, 2);
}

/**
 * e^x in each lane, within 2 units in the last place; results below 1.8e-38 are 0, above the largest
 * float infinity, NaN stays NaN. x = n ln 2 + r with |r| <= ln(2)/2 in two pieces (Cody and Waite), then the
 * Taylor polynomial of degree 7 in r, whose first dropped term is below 6e-9.
 */
// @ts-ignore: decorator
@inline
export function exp4(x: v128): v128 {
  // pmin and pmax keep their first operand when it is NaN, and are one instruction
  const y = f32x4.pmax(f32x4.pmin(x, f32x4.splat(89)), f32x4.splat(-87));
  // adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits
  const shifted = f32x4.add(f32x4.mul(y, f32x4.splat(1.4426950408889634)), f32x4.splat(12582912));
  const n = f32x4.sub(shifted, f32x4.splat(12582912));
  let r = nmadd(n, f32x4.splat(0.693145751953125), y);
  r = nmadd(n, f32x4.splat(1.428606820309417e-6), r);
  let p = f32x4.splat(1.0 / 5040.0);
  p = madd(p, r, f32x4.splat(1.0 / 720.0));
  p = madd(p, r, f32x4.splat(1.0 / 120.0));
  p = madd(p, r, f32x4.splat(1.0 / 24.0));
  p = madd(p, r, f32x4.splat(1.0 / 6.0));
  p = madd(p, r, f32x4.splat(0.5));
  p = madd(p, f32x4.mul(r, r), r);
  p = f32x4.add(p, f32x4.splat(1));
  // 2^(n-1), doubled at the end: n reaches 128, whose power is not a float
  const power = i32x4.shl(i32x4.add(shifted, i32x4.splat(126)), 23);
  p = f32x4.mul(p, power);
  return v128.andnot(f32x4.add(p, p), f32x4.lt(x, f32x4.splat(-86.9)));
}

// @ts-ignore: decorator
@inline
export function sigmoid4(x: v128): v128 {
  const one = f32x4.splat(1);
  return f32x4.div(one, f32x4.add(one, exp4(f32x4.neg(x))));
}
