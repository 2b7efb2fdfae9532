const BITS = 13;
const PASS_BITS = 2;
const fixed = (value: number) => Math.round(value * (1 << BITS));

const F0_298 = fixed(0.298631336);
const F0_390 = fixed(0.390180644);
const F0_541 = fixed(0.5411961);
const F0_765 = fixed(0.765366865);
const F0_899 = fixed(0.899976223);
const F1_175 = fixed(1.175875602);
const F1_501 = fixed(1.50132111);
const F1_847 = fixed(1.847759065);
const F1_961 = fixed(1.96157056);
const F2_053 = fixed(2.053119869);
const F2_562 = fixed(2.562915447);
const F3_072 = fixed(3.072711026);

const workspace = new Int32Array(64);

/** One pass over 8 numbers: in integers of 13 bits after the point, rounded to `shift` fewer. */
function pass(from: Int32Array, at: number, step: number, to: Int32Array, shift: number): void {
  const v0 = from[at]!;
  const v1 = from[at + step]!;
  const v2 = from[at + 2 * step]!;
  const v3 = from[at + 3 * step]!;
  const v4 = from[at + 4 * step]!;
  const v5 = from[at + 5 * step]!;
  const v6 = from[at + 6 * step]!;
  const v7 = from[at + 7 * step]!;
  const even = (v2 + v6) * F0_541;
  const e2 = even - v6 * F1_847;
  const e3 = even + v2 * F0_765;
  const e0 = (v0 + v4) * (1 << BITS);
  const e1 = (v0 - v4) * (1 << BITS);
  const s0 = e0 + e3;
  const s3 = e0 - e3;
  const s1 = e1 + e2;
  const s2 = e1 - e2;
  const odd = (v7 + v3 + v5 + v1) * F1_175;
  const z1 = -(v7 + v1) * F0_899;
  const z2 = -(v5 + v3) * F2_562;
  const z3 = odd - (v7 + v3) * F1_961;
  const z4 = odd - (v5 + v1) * F0_390;
  const o0 = v7 * F0_298 + z1 + z3;
  const o1 = v5 * F2_053 + z2 + z4;
  const o2 = v3 * F3_072 + z2 + z3;
  const o3 = v1 * F1_501 + z1 + z4;
  const half = 1 << (shift - 1);
  to[at] = (s0 + o3 + half) >> shift;
  to[at + 7 * step] = (s0 - o3 + half) >> shift;
  to[at + step] = (s1 + o2 + half) >> shift;
  to[at + 6 * step] = (s1 - o2 + half) >> shift;
  to[at + 2 * step] = (s2 + o1 + half) >> shift;
  to[at + 5 * step] = (s2 - o1 + half) >> shift;
  to[at + 3 * step] = (s3 + o0 + half) >> shift;
  to[at + 4 * step] = (s3 - o0 + half) >> shift;
}

/**
 * 64 coefficients to 64 samples. In the integers of libjpeg's accurate transform (Loeffler, Ligtenberg and Moschytz 1989, columns
 * before rows), so that samples are those of libjpeg-turbo to the bit.
 * @param samples where the block's first sample goes is `to`, rows are `stride` apart; what is written is clamped
 */
export function inverseDct(
  coefficients: Int16Array,
  at: number,
  quantisation: Uint16Array,
  samples: Uint8ClampedArray,
  to: number,
  stride: number,
): void {
  let rest = 0;
  for (let i = 0; i < 64; i++) {
    workspace[i] = coefficients[at + i]! * quantisation[i]!;
    if (i > 0) rest |= coefficients[at + i]!;
  }
  if (rest === 0) {
    // both passes of a lone DC come to this
    const flat = Math.min(255, Math.max(0, 128 + ((workspace[0]! * 4 + 16) >> 5)));
    for (let y = 0; y < 8; y++) samples.fill(flat, to + y * stride, to + y * stride + 8);
    return;
  }
  for (let x = 0; x < 8; x++) pass(workspace, x, 8, workspace, BITS - PASS_BITS);
  for (let y = 0; y < 8; y++) {
    pass(workspace, 8 * y, 1, workspace, BITS + PASS_BITS + 3);
    for (let x = 0; x < 8; x++) samples[to + y * stride + x] = 128 + workspace[8 * y + x]!;
  }
}
