/**
 * Value of an expression of numbers, + - * / and parentheses.
 * @throws Error saying what cannot be read, or where the value is not finite
 */
export function calculate(expression: string): number {
  if (expression.length > 1000) throw new Error("the expression is longer than 1000 characters");
  const tokens = expression.match(/\d+(?:\.\d+)?|\S/g) ?? [];
  let at = 0;
  const sum = (): number => {
    let value = product();
    while (tokens[at] === "+" || tokens[at] === "-") {
      value = tokens[at++] === "+" ? value + product() : value - product();
    }
    return value;
  };
  const product = (): number => {
    let value = factor();
    while (tokens[at] === "*" || tokens[at] === "/") {
      value = tokens[at++] === "*" ? value * factor() : value / factor();
    }
    return value;
  };
  const factor = (): number => {
    const token = tokens[at++];
    if (token === "-") return -factor();
    if (token === "(") {
      const value = sum();
      if (tokens[at++] !== ")") throw new Error("a parenthesis is not closed");
      return value;
    }
    if (token === undefined) throw new Error("the expression ends too soon");
    if (!/^\d/.test(token)) throw new Error(`${JSON.stringify(token)} is no number`);
    return Number(token);
  };
  const value = sum();
  if (at < tokens.length) throw new Error(`${JSON.stringify(tokens[at])} stands where it cannot`);
  if (!Number.isFinite(value)) throw new Error("the value is not finite");
  return value;
}
