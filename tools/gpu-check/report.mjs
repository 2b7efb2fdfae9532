/** report.md: tables that can be pasted into docs/benchmarks.md. */

/** @param parts the list of parts.mjs, for titles and order */
export function renderReport(report, parts) {
  const { machine } = report;
  const lines = ["# Check of a machine with a GPU", ""];
  if (report.dry) lines.push("A dry run: sizes are small, and nothing here is a measurement.", "");
  lines.push(
    `- GPU: ${machine.gpus.join("; ") || "none that nvidia-smi names"}`,
    `- ${machine.python ?? "no Python"}`,
    `- Node ${machine.node} on ${machine.platform}`,
    `- command: \`${report.command}\`${report.xlaFlags === null ? "" : `, XLA_FLAGS ${report.xlaFlags}`}`,
    "",
    "| part | outcome | seconds |",
    "|---|---|---|",
  );
  const known = parts.filter(({ name }) => report.parts[name] !== undefined);
  for (const { name } of known) {
    const { status, seconds } = report.parts[name];
    lines.push(`| ${name} | ${status} | ${seconds.toFixed(0)} |`);
  }
  for (const { name, title } of known) {
    const { notes, problems = [], tables } = report.parts[name];
    lines.push("", `## ${title}`, "");
    for (const text of problems) lines.push(`**Failed**: ${text}`, "");
    for (const text of notes) lines.push(text, "");
    for (const { title: heading, header, rows } of tables) {
      lines.push(heading, "", row(header), row(header.map(() => "---")), ...rows.map(row), "");
    }
  }
  return `${lines
    .join("\n")
    .replaceAll(/\n{3,}/g, "\n\n")
    .trimEnd()}\n`;
}

function row(cells) {
  return `| ${cells.map((cell) => String(cell).replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`;
}
