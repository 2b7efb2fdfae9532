/** Damage: to bytes, to JSON values, and to JSON text. */
import type { Draw } from "./draw.ts";

/** Text that is made to break who reads it: long, steering, or a pattern that backtracks. */
export const badTexts: readonly string[] = [
  "",
  " ",
  "\u0000",
  "\u001b[2J\u001b]0;title\u0007",
  "\u009b31m\u202egnp.exe",
  "\ud800",
  "../../../../etc/passwd",
  "__proto__",
  "constructor",
  "(a+)+$",
  "(?:a|a)*b",
  "(.*)*x",
  "(\\s*)*y",
  "\\p{L}+(\\p{L}+)+!",
  "[",
  "(?<=a{1,9}){9}",
  "{{ messages }}",
  "{% for i in range(10**9) %}x{% endfor %}",
  "{{ 'a' * 10**9 }}",
  "<script>globalThis.__ran=1</script>",
  "a".repeat(20_000),
  "{".repeat(5000),
  "NaN",
  "1e999",
];

export const badNumbers: readonly number[] = [
  0,
  -0,
  -1,
  1,
  2,
  3,
  7,
  0.5,
  1e-45,
  63,
  64,
  65,
  255,
  65_536,
  1e6,
  1e9,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  1e19,
  1e308,
];

const nested = (depth: number, list: boolean): unknown => {
  let value: unknown = 0;
  for (let i = 0; i < depth; i++) value = list ? [value] : { a: value };
  return value;
};

function badValue(draw: Draw): unknown {
  switch (draw.below(9)) {
    case 0:
      return null;
    case 1:
      return draw.chance(0.5);
    case 2:
    case 3:
    case 4:
      return draw.one(badNumbers);
    case 5:
    case 6:
      return draw.one(badTexts);
    case 7:
      return draw.one([
        [],
        {},
        [[]],
        [null],
        { "": 0 },
        ["a", 1],
        nested(40, true),
        nested(3000, draw.chance(0.5)),
      ]);
    default:
      return Array.from({ length: draw.one([1, 3, 1000]) }, () => draw.one(badNumbers));
  }
}

interface Place {
  holder: Record<string, unknown>;
  key: string;
  path: string;
}

/** Where each value of a JSON tree stands. */
function places(root: unknown): Place[] {
  const found: Place[] = [];
  const visit = (value: unknown, path: string, depth: number): void => {
    if (typeof value !== "object" || value === null || depth > 20) return;
    for (const key of Object.keys(value)) {
      const holder = value as Record<string, unknown>;
      found.push({ holder, key, path: `${path}.${key}` });
      visit(holder[key], `${path}.${key}`, depth + 1);
    }
  };
  visit(root, "", 0);
  return found;
}

/** Few values carry most of the meaning: those near the root are drawn as often as all others. */
function onePlace(draw: Draw, root: unknown): Place | undefined {
  const all = places(root);
  const near = all.filter(({ path }) => path.split(".").length <= 3);
  const from = near.length > 0 && draw.chance(0.6) ? near : all;
  return from.length === 0 ? undefined : draw.one(from);
}

/** Changes one thing in a JSON value, in place. @returns what was done */
export function mutateJson(draw: Draw, root: unknown): string {
  const place = onePlace(draw, root);
  if (place === undefined) return "nothing";
  const { holder, key, path } = place;
  switch (draw.below(6)) {
    case 0: {
      delete holder[key];
      return `without ${path}`;
    }
    case 1: {
      const other = onePlace(draw, root)!;
      const value = holder[key];
      // a tree that holds itself is no JSON
      const moved = structuredClone(other.holder[other.key]);
      other.holder[other.key] = structuredClone(value);
      holder[key] = moved;
      return `${path} and ${other.path} swapped`;
    }
    case 2: {
      const name = draw.chance(0.5) ? draw.one(badTexts).slice(0, 100) : `${key}x`;
      if (!Array.isArray(holder))
        Object.defineProperty(holder, name, {
          value: holder[key],
          enumerable: true,
          configurable: true,
          writable: true,
        });
      return `${path} once more as ${JSON.stringify(name.slice(0, 30))}`;
    }
    default: {
      const value = badValue(draw);
      holder[key] = value;
      return `${path} = ${(JSON.stringify(value) ?? "nothing").slice(0, 60)}`;
    }
  }
}

/** JSON text that no parser has made: deep, cut, twice the same key, numbers beyond all. */
export function mutateText(draw: Draw, text: string): { text: string; done: string } {
  const at = draw.below(text.length + 1);
  switch (draw.below(7)) {
    case 0:
      return { text: text.slice(0, at), done: `cut at ${at}` };
    case 1:
      return {
        text: text.slice(0, at) + "[".repeat(100_000) + text.slice(at),
        done: `100,000 brackets at ${at}`,
      };
    case 2: {
      const bad = draw.one(badTexts);
      return {
        text: text.slice(0, at) + bad + text.slice(at),
        done: `${JSON.stringify(bad.slice(0, 30))} at ${at}`,
      };
    }
    case 3: {
      const from = draw.below(text.length + 1);
      return {
        text: text.slice(0, at) + text.slice(from, from + 200) + text.slice(at),
        done: `200 characters of ${from} at ${at}`,
      };
    }
    case 4:
      return {
        text: text.replace(/\d+/, draw.one(["1e999", "-0", "9".repeat(400), "0x10", "1_0"])),
        done: "first number another",
      };
    case 5:
      return { text: `\ufeff${text}`, done: "byte order mark" };
    default:
      return {
        text: text.slice(0, at) + text.slice(at + 1 + draw.below(20)),
        done: `characters taken out at ${at}`,
      };
  }
}

/** Flips bits, cuts, or puts bytes in. @param within most damage falls into the first so many bytes */
export function mutateBytes(
  draw: Draw,
  bytes: Uint8Array,
  within = bytes.length,
): { bytes: Uint8Array; done: string } {
  const end = Math.max(1, draw.chance(0.8) ? Math.min(within, bytes.length) : bytes.length);
  const at = draw.below(end);
  switch (draw.below(8)) {
    case 0:
      return { bytes: bytes.slice(0, at), done: `cut at byte ${at}` };
    case 1: {
      const more = Buffer.concat([
        bytes.subarray(0, at),
        Buffer.alloc(1 + draw.below(64), draw.below(256)),
        bytes.subarray(at),
      ]);
      return { bytes: more, done: `bytes put in at ${at}` };
    }
    case 2: {
      const copy = Buffer.from(bytes);
      copy.fill(draw.one([0, 255, 127]), at, at + 8);
      return { bytes: copy, done: `8 bytes of one value at ${at}` };
    }
    case 3: {
      const copy = Buffer.from(bytes);
      const value = draw.one([
        2n ** 63n,
        2n ** 64n - 1n,
        2n ** 53n,
        2n ** 32n,
        2n ** 31n,
        1_000_000_000n,
        0n,
      ]);
      if (at + 8 <= copy.length) copy.writeBigUInt64LE(value, at);
      return { bytes: copy, done: `${value} at byte ${at}` };
    }
    default: {
      const copy = Buffer.from(bytes);
      const flips = draw.one([1, 1, 1, 2, 8, 64]);
      let first = at;
      for (let i = 0; i < flips && copy.length > 0; i++) {
        const byte = i === 0 ? Math.min(at, copy.length - 1) : draw.below(Math.min(end, copy.length));
        copy[byte] = copy[byte]! ^ (1 << draw.below(8));
        first = Math.min(first, byte);
      }
      return { bytes: copy, done: `${flips} bits from byte ${first}` };
    }
  }
}
