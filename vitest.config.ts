// How `npm test` runs: every test under tests/ but the slow suites, which have commands of their own.
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    exclude: ["tests/slow/**", "tests/images/**"],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // Each worker holds a machine memory: two cores, two workers.
    maxWorkers: 2,
    pool: "forks",
  },
});
