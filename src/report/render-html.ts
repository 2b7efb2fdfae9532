/** A report as one HTML file: no network, no scripts needed to read it, light and dark. */

import { createHash } from "node:crypto";
import { printable, printableLine } from "../lib/printable.ts";
import {
  type Block,
  type Figure,
  number,
  type ReportDocument,
  type SampleCard,
  type ShownPicture,
  type Table,
} from "./document.ts";
import { reportStyle, samplesScript } from "./style.ts";

/** Text of files may hold HTML: nothing of it may become markup. */
export function escapeHtml(text: string): string {
  return printable(text)
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}

/** What the page may do, should text of a file become markup after all: run the one script below, load nothing. */
const policy =
  "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; " +
  `script-src 'sha256-${createHash("sha256").update(samplesScript).digest("base64")}'`;

export function renderHtml({ title, subtitle, sections }: ReportDocument): string {
  const links = sections
    .map(({ id, title: name }) => `<a href="#${escapeHtml(id)}">${escapeHtml(name)}</a>`)
    .join("");
  const body = sections
    .map(
      ({ id, title: name, blocks }) =>
        `<section id="${escapeHtml(id)}">\n<h2>${escapeHtml(name)}</h2>\n${blocks.map(renderBlock).join("\n")}\n</section>`,
    )
    .join("\n");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>${escapeHtml(title)}</title>
<style>${reportStyle}</style>
</head>
<body>
<header><h1>${escapeHtml(title)}</h1><p class="sub">${escapeHtml(subtitle)}</p><nav>${links}</nav></header>
<main>
${body}
</main>
<script>${samplesScript}</script>
</body>
</html>
`;
}

function renderBlock(block: Block): string {
  switch (block.kind) {
    case "text":
      return `<p>${escapeHtml(block.text)}</p>`;
    case "table": {
      const caption = block.caption === undefined ? "" : `<p class="note">${escapeHtml(block.caption)}</p>`;
      const table = `${caption}<div class="scroll">${renderTable(block.table)}</div>`;
      return block.folded === undefined
        ? table
        : `<details><summary>${escapeHtml(block.folded)}</summary>${table}</details>`;
    }
    case "figures":
      return `<div class="figures">${block.figures.map(renderFigure).join("\n")}</div>`;
    case "samples":
      return renderSamples(block);
    default: {
      const unreachable: never = block;
      throw new Error(`unknown block ${JSON.stringify(unreachable)}`);
    }
  }
}

function renderTable({ header, rows, text }: Table): string {
  const kind = (i: number) => (text.includes(i) ? ' class="t"' : "");
  const head = header.map((cell, i) => `<th${kind(i)}>${escapeHtml(cell)}</th>`).join("");
  const body = rows
    .map((row) => `<tr>${row.map((cell, i) => `<td${kind(i)}>${escapeHtml(cell)}</td>`).join("")}</tr>`)
    .join("\n");
  return `<table><thead><tr>${head}</tr></thead><tbody>\n${body}\n</tbody></table>`;
}

function renderFigure({ title, unit, svg, legend, caption, narrow }: Figure): string {
  const keys = legend
    .map(
      ({ name, colour }) =>
        `<span><i style="background:${escapeHtml(colour)}"></i>${escapeHtml(name)}</span>`,
    )
    .join("");
  const drawing =
    narrow === undefined ? svg : `<div class="broad">${svg}</div><div class="narrow">${narrow}</div>`;
  return (
    `<figure${narrow === undefined ? "" : ' class="wide"'}><h3>${escapeHtml(title)} <small>${escapeHtml(unit)}</small></h3>` +
    `${legend.length > 0 ? `<div class="legend">${keys}</div>` : ""}${drawing}` +
    `<figcaption>${escapeHtml(caption)}</figcaption></figure>`
  );
}

const unique = (values: readonly string[]): string[] => [...new Set(values)];

/** Rows of prompts, a column for each step: the same prompt side by side where it comes again. */
function renderSamples({ cards, pictures, note }: Extract<Block, { kind: "samples" }>): string {
  const select = (name: string, values: readonly string[]) =>
    values.length < 2
      ? ""
      : `<label>${name} <select data-filter="${name}"><option value="">all</option>${values
          .map((value) => `<option>${escapeHtml(value)}</option>`)
          .join("")}</select></label>`;
  const filters = [
    select("verdict", unique(cards.map(({ verdict }) => verdict))),
    select("stage", unique(cards.map(({ stage }) => stage))),
    select("step", unique(cards.map(({ step }) => String(step)))),
    select("run", unique(cards.map(({ run }) => run))),
  ].join("");
  const groups = new Map<string, SampleCard[]>();
  for (const card of cards) {
    const key = `${card.run}\n${card.step}`;
    groups.set(key, [...(groups.get(key) ?? []), card]);
  }
  const several = unique(cards.map(({ run }) => run)).length > 1;
  const columns = [...groups.values()]
    .map((group) => {
      const { step, stage, run, tally } = group[0]!;
      const heading = `step ${step}, ${stage}${several ? `, ${run}` : ""}`;
      return `<div class="moment"><h3>${escapeHtml(heading)} <small>${escapeHtml(tally)}</small></h3>${group.map((card) => renderCard(card, pictures)).join("")}</div>`;
    })
    .join("");
  return `${renderPictures(pictures)}<p class="note">${escapeHtml(note)}</p><form class="filters">${filters}</form><div class="moments">${columns}</div>`;
}

/** Each picture once, to be used by cards: the same prompt comes again. */
function renderPictures(pictures: readonly ShownPicture[]): string {
  if (pictures.length === 0) return "";
  const images = pictures
    .map(
      ({ width, height, png }, i) =>
        `<image id="picture-${i}" width="${width}" height="${height}" preserveAspectRatio="none" href="data:image/png;base64,${escapeHtml(png)}"/>`,
    )
    .join("");
  return `<svg class="wall" width="0" height="0" aria-hidden="true"><defs>${images}</defs></svg>`;
}

/** Pixels of a page for a picture's longer side. */
const PICTURE_SIDE = 128;
/** Pixels of a picture's side up to which each of them is shown as a square. */
const SQUARES = 64;

/** The pictures of a card, and boxes over the one that has some. */
function renderShown({ pictures: places, boxes }: SampleCard, pictures: readonly ShownPicture[]): string {
  if (places.length === 0) return "";
  const drawn = places.map((place) => {
    const { name, width, height } = pictures[place]!;
    const scale = PICTURE_SIDE / Math.max(width, height);
    const side = (length: number) => Math.max(1, Math.round(length * scale));
    const rects = boxes.map(
      ({ kind, box: [x0, y0, x1, y1] }) =>
        `<rect class="${kind}" x="${x0}" y="${y0}" width="${x1 - x0}" height="${y1 - y0}"/>`,
    );
    const title = escapeHtml(printableLine(name));
    return (
      `<svg class="picture${Math.max(width, height) <= SQUARES ? " squares" : ""}" role="img" aria-label="${title}" viewBox="0 0 ${width} ${height}" width="${side(width)}" height="${side(height)}">` +
      `<title>${title}</title><use href="#picture-${place}"/>${rects.join("")}</svg>`
    );
  });
  return `<div class="pictures">${drawn.join("")}</div>`;
}

function renderCard(card: SampleCard, pictures: readonly ShownPicture[]): string {
  const data = `data-verdict="${escapeHtml(card.verdict)}" data-stage="${escapeHtml(card.stage)}" data-step="${escapeHtml(String(card.step))}" data-run="${escapeHtml(card.run)}"`;
  const verdict = `<b class="${card.verdict === "right" ? "right" : "wrong"}">${escapeHtml(card.verdict)}</b>`;
  const facts = `${verdict} reward ${number(card.reward)}, ${number(card.tokens)} tokens`;
  return (
    `<article class="card" ${data}>${renderShown(card, pictures)}<pre class="prompt">${escapeHtml(card.prompt)}</pre>` +
    `<pre>${escapeHtml(card.completion)}</pre><p>${facts}${card.answer === "" ? "" : `, gold ${escapeHtml(card.answer)}`}</p></article>`
  );
}
