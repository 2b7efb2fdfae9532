import type { Relation } from "./ast.ts";

export const greek = new Set(
  "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell hbar triangle angle odot".split(
    " ",
  ),
);
export const functions = new Set(
  "sin cos tan cot sec csc sinh cosh tanh arcsin arccos arctan ln log exp lg max min gcd lcm det".split(" "),
);
export const relations: Readonly<Record<string, Relation>> = {
  "=": "=",
  "<": "<",
  ">": ">",
  leq: "<=",
  geq: ">=",
  neq: "!=",
  approx: "~",
  equiv: "=",
  in: "in",
};
/** \begin{...} environments that hold rows. */
export const matrices = new Set(
  "matrix pmatrix bmatrix Bmatrix vmatrix Vmatrix array smallmatrix".split(" "),
);
