/**
 * Data as a terminal can show it. Completions, ids and messages of other programs may hold escape sequences that move the cursor,
 * rename the window, hide text or write to the clipboard; they are shown as characters, never obeyed.
 */

/** C0 and C1 controls but line feed and tab, and what turns the direction of text around. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

const shown = (character: string): string => {
  const code = character.charCodeAt(0);
  if (character === "\r") return "\\r";
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16)}`;
};

/** Data for a terminal: "\u001b[2J" becomes the six characters \x1b[2J. Line feeds and tabs stay. */
export function visible(data: string): string {
  return data.replace(CONTROLS, shown);
}

/** Data for one line: line feeds and tabs are shown too. */
export function visibleLine(data: string): string {
  return visible(data).replaceAll("\n", "\\n").replaceAll("\t", "\\t");
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences
const COLOURS = /(\u001b\[(?:0|1|2|3|4|7|2[2-9]|3[0-79]|4[0-79]|9[0-7])m)/;

/** As `visible`, for text that carries colours of ours: single colours and weights stay, nothing else does. */
export function visibleButColours(text: string): string {
  return text
    .split(COLOURS)
    .map((part, index) => (index % 2 === 1 ? part : visible(part)))
    .join("");
}

/** JSON with every control character as an escape of JSON's: the same value, and nothing for a terminal to obey. */
export function asciiControls(json: string): string {
  return json.replace(CONTROLS, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
