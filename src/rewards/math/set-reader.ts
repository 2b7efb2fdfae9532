/** Braces: { } that hold a list, and sets given by a condition. */
import { MathParseError, mapTree, type Node } from "./ast.ts";
import type { Cursor } from "./cursor.ts";

export interface SetGrammar {
  item(): Node;
  list(done: () => boolean): Node[];
  setExpression(): Node;
}

/** The variable of {x | ...}: a dummy, so any name will do. Nothing that is read gives a symbol this name. */
export const SET_MEMBER = "\\member";

/** Is this the beginning of {x | ...}, {x : ...} or {x \in S | ...}, after the brace? */
function startsCondition(tokens: Cursor): boolean {
  if (tokens.peek()?.kind !== "letter") return false;
  if (tokens.is("|", 1) || tokens.is(":", 1)) return true;
  if (!tokens.is("in", 1)) return false;
  for (let ahead = 2; ahead < 12; ahead++) {
    if (tokens.is("|", ahead) || tokens.is(":", ahead)) return true;
    if (tokens.is("setclose", ahead) || tokens.is(",", ahead) || tokens.peek(ahead) === undefined)
      return false;
  }
  return false;
}

/** Several conditions: `or` unites, anything else narrows. */
function joined(conditions: readonly Node[], op: "union" | "intersection"): Node {
  return conditions.reduce((left, right) => ({ kind: "setop", op, left, right }));
}

/** What stands after an opening brace, up to and with the closing one. */
export function readSet(tokens: Cursor, close: string, rules: SetGrammar): Node {
  if (!startsCondition(tokens)) {
    const items = rules.list(() => tokens.is(close));
    tokens.expect(close);
    return { kind: "set", items };
  }
  const name = tokens.peek()!.value;
  const domain: Node[] = [];
  tokens.skip();
  if (tokens.take("in"))
    domain.push({ kind: "relation", sides: [{ kind: "symbol", name }, rules.setExpression()], ops: ["in"] });
  if (!tokens.take("|")) tokens.expect(":");
  const conditions = [rules.item()];
  let op: "union" | "intersection" = "intersection";
  while (!tokens.is(close)) {
    if (tokens.peek()?.kind === "text" && /^,? ?or$/i.test(tokens.peek()!.value)) op = "union";
    if (!tokens.separator()) tokens.fail();
    conditions.push(rules.item());
  }
  tokens.expect(close);
  if (conditions.some(({ kind }) => kind !== "relation"))
    throw new MathParseError("a condition that is no relation");
  const all = joined([...domain, joined(conditions, op)], "intersection");
  return mapTree(all, (node) =>
    node.kind === "symbol" && node.name === name ? { ...node, name: SET_MEMBER } : node,
  );
}
