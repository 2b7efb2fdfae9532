import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { gradeMath } from "../../../src/rewards/math/grade.ts";

/** An expression as a tree, written out in two ways below. */
type Tree =
  | { kind: "leaf"; text: string }
  | { kind: "number"; value: number }
  | { kind: "sum" | "product"; left: Tree; right: Tree }
  | { kind: "quotient"; top: Tree; value: number }
  | { kind: "power"; base: Tree; exponent: number }
  | { kind: "call"; name: "sqrt" | "abs" | "sin"; argument: Tree };

const { tree } = fc.letrec<{ tree: Tree; leaf: Tree }>((tie) => ({
  leaf: fc.oneof(
    fc.constantFrom("x", "y", "n", "\\pi", "\\sqrt{2}").map((text): Tree => ({ kind: "leaf", text })),
    fc.integer({ min: 1, max: 50_000 }).map((value): Tree => ({ kind: "number", value })),
  ),
  tree: fc.oneof(
    { maxDepth: 3, depthIdentifier: "t" },
    tie("leaf"),
    fc
      .tuple(fc.constantFrom("sum" as const, "product" as const), tie("tree"), tie("tree"))
      .map(([kind, left, right]): Tree => ({ kind, left, right })),
    fc
      .tuple(tie("tree"), fc.integer({ min: 2, max: 12 }))
      .map(([top, value]): Tree => ({ kind: "quotient", top, value })),
    fc
      .tuple(tie("leaf"), fc.integer({ min: 2, max: 4 }))
      .map(([base, exponent]): Tree => ({ kind: "power", base, exponent })),
    fc
      .tuple(fc.constantFrom("sqrt" as const, "abs" as const, "sin" as const), tie("leaf"))
      .map(([name, argument]): Tree => ({ kind: "call", name, argument })),
  ),
}));

/** LaTeX in the order of the tree. */
function plain(node: Tree): string {
  switch (node.kind) {
    case "leaf":
      return node.text;
    case "number":
      return String(node.value);
    case "sum":
      return `(${plain(node.left)}+${plain(node.right)})`;
    case "product":
      return `${plain(node.left)}\\cdot ${plain(node.right)}`;
    case "quotient":
      return `\\frac{${plain(node.top)}}{${node.value}}`;
    case "power":
      return `(${plain(node.base)})^{${node.exponent}}`;
    case "call":
      return call(node.name, plain(node.argument));
  }
}

const call = (name: "sqrt" | "abs" | "sin", argument: string): string =>
  name === "sqrt" ? `\\sqrt{${argument}}` : name === "abs" ? `|${argument}|` : `\\sin(${argument})`;

/** The same value in another spelling: turned round, expanded, split. */
function other(node: Tree): string {
  switch (node.kind) {
    case "leaf":
      return node.text === "\\sqrt{2}" ? "\\frac{2}{\\sqrt 2}" : node.text;
    case "number":
      return `(${node.value + 7}-7)`;
    case "sum":
      return `{${other(node.right)}}+{${other(node.left)}}`;
    case "product":
      if (node.right.kind === "sum")
        return `((${other(node.left)})(${other(node.right.left)})+(${other(node.left)})(${other(node.right.right)}))`;
      return `(${other(node.right)})(${other(node.left)})`;
    case "quotient":
      return `(${other(node.top)})\\cdot\\frac{1}{${node.value}}`;
    case "power":
      return `(${other(node.base)})^{${node.exponent - 1}}(${other(node.base)})`;
    case "call":
      if (node.name === "abs") return `\\sqrt{(${other(node.argument)})^2}`;
      return node.name === "sqrt" ? `(${other(node.argument)})^{1/2}` : `-\\sin(-(${other(node.argument)}))`;
  }
}

describe("random expressions", () => {
  it("equal themselves in another spelling, and not with one term more", { timeout: 300_000 }, () => {
    fc.assert(
      fc.property(tree, fc.integer({ min: 1, max: 9 }), (node, more) => {
        const gold = plain(node);
        fc.pre(gold.length < 300 && other(node).length < 1200);
        expect(gradeMath({ candidate: other(node), gold })).toMatchObject({ equal: true, status: "ok" });
        expect(gradeMath({ candidate: `${other(node)}+${more}`, gold }).equal).toBe(false);
        expect(gradeMath({ candidate: `${other(node)}+\\frac{x}{1000000}`, gold }).equal).toBe(false);
      }),
      { numRuns: 150, seed: 13 },
    );
  });

  const coefficients = fc.array(fc.integer({ min: -40_000, max: 40_000 }), { minLength: 2, maxLength: 5 });
  const polynomial = (terms: readonly number[]): string =>
    terms.map((value, power) => `(${value})x^{${power}}`).join("+");

  it("polynomials and equations differ when one coefficient does", { timeout: 300_000 }, () => {
    fc.assert(
      fc.property(coefficients, fc.nat(), fc.integer({ min: 1, max: 3 }), (terms, place, change) => {
        fc.pre(terms.some((value, power) => power > 0 && value !== 0));
        const changed = terms.map((value, power) =>
          power === place % terms.length ? value + change : value,
        );
        const reversed = terms
          .map((value, power) => `(${value})x^{${power}}`)
          .reverse()
          .join("+");
        expect(gradeMath({ candidate: reversed, gold: polynomial(terms) }).equal).toBe(true);
        expect(gradeMath({ candidate: polynomial(changed), gold: polynomial(terms) }).equal).toBe(false);
        const equation = (of: readonly number[]) => `y=${polynomial(of)}`;
        expect(gradeMath({ candidate: `2y=2(${reversed})`, gold: equation(terms) }).equal).toBe(true);
        expect(gradeMath({ candidate: equation(changed), gold: equation(terms) }).equal).toBe(false);
        // the equations p = 0; a change of one coefficient moves a solution unless p has no other term
        fc.pre(terms.filter((value) => value !== 0).length > 1);
        expect(
          gradeMath({ candidate: `${polynomial(changed)}=0`, gold: `${polynomial(terms)}=0` }).equal,
        ).toBe(changed.filter((value) => value !== 0).length === 0);
      }),
      { numRuns: 150, seed: 13 },
    );
  });
});
