// How `npm run test:slow` runs: the properties of the quick tests at length, one file at a time.
import { defineConfig } from "vitest/config";

// With both set, Node says so on standard error, where tests look for a machine's own words.
if (process.env["FORCE_COLOR"]) delete process.env["NO_COLOR"];

export default defineConfig({
  test: {
    include: ["tests/slow/**/*.test.ts"],
    testTimeout: 1_000_000,
    maxWorkers: 1,
    fileParallelism: false,
    pool: "forks",
  },
});
