// Prints the line that CI looks for, "N passed, N failed, N skipped", from vitest's JSON reports. A run that failed
// without a failing test (types, lint, a suite that didn't load, a report cut off) counts as one failure.
// Usage: count-tests.mjs STATUS REPORT.json ...
import { readFileSync } from "node:fs";

const [status, ...reports] = process.argv.slice(2);
let passed = 0;
let failed = 0;
let skipped = 0;
for (const file of reports) {
  try {
    const report = JSON.parse(readFileSync(file, "utf8"));
    passed += report.numPassedTests;
    failed += report.numFailedTests;
    skipped += report.numPendingTests + report.numTodoTests;
  } catch (error) {
    console.error(`no report: ${error.message}`);
  }
}
if (status !== "0" && failed === 0) failed = 1;
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
