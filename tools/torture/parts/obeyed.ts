/** Looks for data that a browser, a reader of Markdown or a table program would obey. Null where there is none. */
import { parse } from "csv-parse/sync";
import { parseHTML } from "linkedom";
import { samplesScript } from "../../../src/report/style.ts";
import { STEERING } from "../command.ts";

/** Elements that a report is made of; none other stands in one. */
const TAGS = new Set(
  `html head meta link title style body header h1 h2 h3 p nav a main section table thead tbody tr th td div details
  summary figure figcaption small span i b svg g path line rect circle text form label select option article pre tspan
  script defs image use`.split(/\s+/),
);

/** A thumbnail: bytes that a browser can only draw. */
const PICTURE = /^data:image\/png;base64,[A-Za-z0-9+/]*={0,2}$/;

export function pageFault(html: string): string | null {
  if (STEERING.test(html)) return "a character that steers";
  if (!html.includes("default-src 'none'")) return "the page has no policy";
  const { document } = parseHTML(html);
  for (const element of document.querySelectorAll("*")) {
    if (!TAGS.has(element.localName)) return `an element of the data: <${element.localName}>`;
    for (const { name, value } of element.attributes) {
      if (/^on|^srcdoc$|^formaction$/i.test(name))
        return `an attribute of the data: <${element.localName} ${name}>`;
      const isPicture = element.localName === "image" && PICTURE.test(value);
      if (["href", "src", "xlink:href"].includes(name) && !isPicture && !/^#[\w-]*$|^data:,$/.test(value))
        return `a link of the data: ${value.slice(0, 80)}`;
    }
  }
  const scripts = [...document.querySelectorAll("script")].map(({ textContent }) => textContent);
  return scripts.length === 1 && scripts[0] === samplesScript ? null : "a script of the data";
}

export function markdownFault(text: string): string | null {
  if (STEERING.test(text)) return "a character that steers";
  const outside = text.replaceAll(/^(`{3,})\n[\s\S]*?\n\1$/gm, "");
  if (/(^|[^\\])(\\\\)*<[a-z/!]/i.test(outside)) return "HTML of the data";
  return /(^|[^\\])(\\\\)*\]\(/.test(outside) ? "a link of the data" : null;
}

export function csvFault(text: string): string | null {
  for (const cell of (parse(text, { relax_column_count: true }) as string[][]).flat())
    if (/^[=+\-@\t\r]/.test(cell) && Number.isNaN(Number(cell)))
      return `a cell that is a formula: ${JSON.stringify(cell.slice(0, 60))}`;
  return null;
}
