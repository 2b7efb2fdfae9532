/** Kernels' references in float64: plain loops over index lists. */
export interface Nd {
  shape: number[];
  values: number[];
}

export const sizeOf = (shape: readonly number[]) => shape.reduce((product, n) => product * n, 1);

/** Every index of a shape, row-major. */
export function indices(shape: readonly number[]): number[][] {
  return Array.from({ length: sizeOf(shape) }, (_, flat) => {
    let rest = flat;
    return shape
      .toReversed()
      .map((n) => {
        const i = rest % n;
        rest = Math.floor(rest / n);
        return i;
      })
      .toReversed();
  });
}

/** An element; indices of dimensions of 1 are ignored and missing leading dimensions too. */
export function at({ shape, values }: Nd, index: readonly number[]): number {
  const own = index.slice(index.length - shape.length);
  return values[shape.reduce((flat, n, i) => flat * n + (n === 1 ? 0 : own[i]!), 0)]!;
}

/** An array from a function of the index. */
export function make(shape: readonly number[], of: (index: number[]) => number): Nd {
  return { shape: [...shape], values: indices(shape).map(of) };
}

export function broadcastShape(...shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, i) => {
    const sizes = shapes.map((shape) => shape[i - rank + shape.length] ?? 1);
    return sizes.find((n) => n !== 1) ?? 1;
  });
}

export function elementwise(fn: (...x: number[]) => number, ...inputs: Nd[]): Nd {
  return make(broadcastShape(...inputs.map(({ shape }) => shape)), (index) =>
    fn(...inputs.map((input) => at(input, index))),
  );
}

/** `fn` over the elements of each group of indices that differ in `axes` only. */
export function reduced(x: Nd, axes: readonly number[], keep: boolean, fn: (values: number[]) => number): Nd {
  const inner = x.shape.map((n, i) => (axes.includes(i) ? n : 1));
  const outer = x.shape.map((n, i) => (axes.includes(i) ? 1 : n));
  const result = make(outer, (index) =>
    fn(
      indices(inner).map((offset) =>
        at(
          x,
          index.map((n, i) => n + offset[i]!),
        ),
      ),
    ),
  );
  return keep ? result : { ...result, shape: x.shape.filter((_, i) => !axes.includes(i)) };
}

export const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

/** [..., M, K] x [..., K, N], leading dimensions broadcast. */
export function matmul(x: Nd, y: Nd, transposeX: boolean, transposeY: boolean): Nd {
  const flip = (z: Nd, flipped: boolean): Nd =>
    flipped
      ? make([...z.shape.slice(0, -2), z.shape.at(-1)!, z.shape.at(-2)!], (index) =>
          at(z, [...index.slice(0, -2), index.at(-1)!, index.at(-2)!]),
        )
      : z;
  const [a, b] = [flip(x, transposeX), flip(y, transposeY)];
  const leading = broadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const inner = Array.from({ length: a.shape.at(-1)! }, (_, k) => k);
  return make([...leading, a.shape.at(-2)!, b.shape.at(-1)!], (index) => {
    const [batch, m, n] = [index.slice(0, -2), index.at(-2)!, index.at(-1)!];
    return sum(inner.map((k) => at(a, [...batch, m, k]) * at(b, [...batch, k, n])));
  });
}

/** Half to even. */
export function round(x: number): number {
  const below = Math.floor(x);
  if (x - below !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
}
