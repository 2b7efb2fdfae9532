/** The look of the HTML report, and the few lines that filter its samples. */

export const reportStyle = `
:root{--bg:#f6f7f9;--card:#fff;--ink:#1b2430;--muted:#5d6978;--line:#dde2e8;--right:#1a7f4b;--wrong:#b3372e;
--c0:#2563b8;--c1:#c4591c;--c2:#1d8a68;--c3:#8a4bb0;--c4:#a8780c;--c5:#c23a70;--c6:#3c8ea8;--c7:#6b7280;
--o0:#a9c8ec;--o1:#83aee2;--o2:#5c93d6;--o3:#3a76c0;--o4:#24599c;--o5:#143c70}
@media (prefers-color-scheme:dark){:root{--bg:#12161c;--card:#1b212a;--ink:#e4e9ef;--muted:#98a4b3;--line:#323b47;
--right:#5cc98f;--wrong:#f08a80;--c0:#6ea8f5;--c1:#f0935a;--c2:#55c9a3;--c3:#c191e6;--c4:#dfb54c;--c5:#f083ad;
--c6:#6fc3dc;--c7:#a0a8b4;--o0:#2f4a6b;--o1:#3b628f;--o2:#4c7eb5;--o3:#669cd8;--o4:#8db9ec;--o5:#c3dcf8}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
header,main{max-width:1240px;margin:0 auto;padding:0 20px}
header{padding-top:28px}
h1{font-size:26px;line-height:1.2;margin:0;overflow-wrap:anywhere}
.sub{color:var(--muted);margin:6px 0 14px;overflow-wrap:anywhere}
nav{display:flex;flex-wrap:wrap;gap:4px 16px;border-bottom:1px solid var(--line);padding-bottom:12px}
a{color:var(--c0);text-decoration:none}a:hover{text-decoration:underline}
h2{font-size:19px;margin:34px 0 10px}h3{font-size:14px;margin:0 0 4px}
.note,figcaption{color:var(--muted);font-size:12.5px;margin:4px 0 10px}
.figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,370px),1fr));gap:14px;margin-bottom:14px}
figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px 12px 4px;min-width:0}
figure.wide{grid-column:1/-1}
figure svg{display:block;width:100%;height:auto;overflow:visible;max-width:560px}
figure.wide .broad svg{max-width:1180px}
.narrow{display:none}
h3 small{color:var(--muted);font-weight:400;margin-left:4px}
svg text{white-space:pre}
.legend{display:flex;flex-wrap:wrap;gap:2px 12px;font-size:12px;color:var(--muted);margin-bottom:4px}
.legend i{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:5px}
.scroll{overflow-x:auto;border:1px solid var(--line);border-radius:8px;background:var(--card);margin-bottom:12px}
table{border-collapse:collapse;width:100%;font-size:13.5px;font-variant-numeric:tabular-nums}
th,td{padding:6px 12px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}
th{color:var(--muted);font-weight:600}
tr:last-child td{border-bottom:0}
.t{text-align:left}td.t{max-width:560px;white-space:normal;overflow-wrap:anywhere}
td.t:first-child,th.t:first-child{white-space:nowrap;width:1%;padding-right:24px}
summary{cursor:pointer;color:var(--c0);margin:8px 0}
.filters{display:flex;flex-wrap:wrap;gap:8px 16px;margin-bottom:10px;font-size:13px}
select{font:inherit;color:inherit;background:var(--card);border:1px solid var(--line);border-radius:5px;padding:2px 6px}
.moments{display:flex;gap:14px;overflow-x:auto;align-items:flex-start;padding-bottom:10px}
.moment{flex:0 0 auto;width:min(300px,82vw)}
.card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:8px 10px;margin-bottom:8px;font-size:12.5px}
.card p{margin:6px 0 0;color:var(--muted)}
pre{margin:0;font:12px/1.4 ui-monospace,Menlo,Consolas,monospace;white-space:pre-wrap;overflow-wrap:anywhere;max-height:220px;overflow-y:auto}
.prompt{color:var(--muted);border-bottom:1px solid var(--line);margin-bottom:4px;padding-bottom:4px}
.wall{position:absolute}
.pictures{display:flex;flex-wrap:wrap;gap:6px;margin-bottom:6px}
.picture{display:block;max-width:100%;height:auto;border-radius:3px;background:var(--line)}.squares{image-rendering:pixelated}
.picture rect{fill:none;vector-effect:non-scaling-stroke;stroke-width:3px;paint-order:stroke}
.picture .gold{stroke:#fff;stroke-dasharray:5 4;filter:drop-shadow(0 0 1px #000)}.picture .given{stroke:#ff9d3c;filter:drop-shadow(0 0 1px #000)}
.right{color:var(--right)}.wrong{color:var(--wrong)}
[hidden]{display:none!important}
@media (max-width:600px){.broad{display:none}.narrow{display:block}header,main{padding:0 12px}header{padding-top:16px}h1{font-size:21px}th,td{padding:5px 8px}
td.t{min-width:220px}td.t:first-child,th.t:first-child{min-width:96px;white-space:normal;overflow-wrap:break-word;padding-right:8px}}
@media print{.filters,nav{display:none}}
`;

export const samplesScript = `
for (const form of document.querySelectorAll(".filters")) form.addEventListener("change", () => {
  const wanted = [...form.querySelectorAll("select")].filter((one) => one.value !== "");
  for (const moment of form.nextElementSibling.children) {
    let left = 0;
    for (const card of moment.querySelectorAll(".card")) {
      card.hidden = wanted.some((one) => card.dataset[one.dataset.filter] !== one.value);
      if (!card.hidden) left++;
    }
    moment.hidden = left === 0;
  }
});
`;
