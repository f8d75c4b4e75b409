// How `npm test` runs: every test under tests/ but the slow suites, which have commands of their own.
import { defineConfig } from "vitest/config";

// With both set, Node says so on standard error, where tests look for a machine's own words.
if (process.env["FORCE_COLOR"]) delete process.env["NO_COLOR"];

export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    exclude: ["tests/slow/**", "tests/images/**"],
    setupFiles: process.env["XENOLITH_SEED"] ? ["tests/harness/seed.ts"] : [],
    // What takes seconds here may take ten times as long on a small machine that does something else too: only what hangs
    // is to end by this.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    // Each worker holds a machine memory: two cores, two workers.
    maxWorkers: 2,
    pool: "forks",
  },
});
