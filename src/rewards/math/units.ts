/** Units that contradict each other when they differ. Any other word after a number only names what is counted. */
const known: Readonly<Record<string, readonly string[]>> = {
  mm: ["millimeter", "millimetre"],
  cm: ["centimeter", "centimetre"],
  m: ["meter", "metre"],
  km: ["kilometer", "kilometre"],
  in: ["inch", "inches"],
  ft: ["foot", "feet"],
  yd: ["yard"],
  mi: ["mile"],
  g: ["gram"],
  kg: ["kilogram"],
  lb: ["pound", "lbs"],
  oz: ["ounce"],
  s: ["second", "sec"],
  min: ["minute"],
  h: ["hour", "hr"],
  day: [],
  week: [],
  month: [],
  year: ["yr"],
  l: ["liter", "litre"],
  ml: ["milliliter", "millilitre"],
  mph: [],
  dollar: ["usd"],
  cent: [],
  am: ["a.m."],
  pm: ["p.m."],
  degrees: ["degree", "deg"],
  percent: ["percentage", "pct"],
};
const canonical = new Map<string, string>();
for (const [unit, names] of Object.entries(known))
  for (const name of [unit, ...names]) canonical.set(name, unit);

/** One spelling: "square centimeters", "cm^2" and "sq cm" are `cm^2`. Empty for words that are no unit. */
export function canonicalUnit(text: string): string {
  let power = /(?:\^ ?\{?2\}?)/.test(text) ? 2 : /(?:\^ ?\{?3\}?)/.test(text) ? 3 : 1;
  const words = text
    .toLowerCase()
    .replace(/\^ ?\{?-?\d\}?/g, " ")
    .split(/[\s/]+/)
    .filter(Boolean);
  const units: string[] = [];
  for (const word of words) {
    if (word === "square" || word === "sq" || word === "sq.") power = 2;
    else if (word === "cubic" || word === "cu") power = 3;
    else {
      const unit =
        canonical.get(word) ??
        canonical.get(word.replace(/\.$/, "")) ??
        canonical.get(word.replace(/s$/, ""));
      if (unit !== undefined) units.push(unit);
    }
  }
  if (units.length === 0) return power === 1 ? "" : `units^${power}`;
  return units.join("/") + (power === 1 ? "" : `^${power}`);
}

const joinWords = new Set(["and", "or", "then", "when", "where", "with"]);

/** Is this bare word after a number a unit, and not a product of letters? */
export function isUnitWord(word: string): boolean {
  const lower = word.toLowerCase().replace(/\.$/, "");
  if (lower.length < 2 || joinWords.has(lower)) return false;
  return (
    canonical.has(lower) ||
    canonical.has(lower.replace(/s$/, "")) ||
    /^(square|cubic|sq|units?|per)$/.test(lower) ||
    /^[a-z]{4,}$/.test(lower)
  );
}
