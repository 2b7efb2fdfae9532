/**
 * node summary.js REPORT STATUS: reads vitest's JSON report, lists failures and skipped tests with their reasons;
 * the last line is "PASSED FAILED SKIPPED" for .ci/run.
 */
import { readFileSync } from "node:fs";
import { relative } from "node:path";

const [file, status] = process.argv.slice(2);
const report = JSON.parse(readFileSync(file, "utf8"));
const counts = { passed: 0, failed: 0, skipped: 0 };
const failures = [];
/** Reason -> names; one missing thing skips many tests. */
const skips = new Map();

for (const suite of report.testResults) {
  const path = relative(process.cwd(), suite.name);
  for (const test of suite.assertionResults) {
    const name = [...test.ancestorTitles, test.title].filter(Boolean).join(" > ");
    if (test.status === "passed") counts.passed++;
    else if (test.status === "failed") {
      counts.failed++;
      failures.push(`${path}: ${name}`);
    } else {
      counts.skipped++;
      const mark = / ?[[(]skipped: (.*?)[\])](?= >|$)/;
      const reason = mark.exec(name)?.[1] ?? "no reason given";
      const plain = name.replace(mark, "");
      skips.set(reason, [...(skips.get(reason) ?? []), `${path}: ${plain}`]);
    }
  }
  if (suite.status === "failed" && suite.assertionResults.length === 0) {
    counts.failed++;
    failures.push(`${path}: ${suite.message.split("\n")[0] || "did not load"}`);
  }
}
// errors outside any test, or a run cut short
if (Number(status) !== 0 && counts.failed === 0) {
  counts.failed++;
  failures.push(`the run ended with status ${status} although no test failed`);
}

for (const failure of failures) console.log(`FAILED  ${failure}`);
for (const [reason, names] of skips) {
  console.log(`skipped, ${reason}:`);
  for (const name of names) console.log(`  ${name}`);
}
console.log(`${counts.passed} ${counts.failed} ${counts.skipped}`);
