// How `npm run test:images` runs: kernels from Debian's packages, each in a machine of its own, one after the other.
import { defineConfig } from "vitest/config";

// With both set, Node says so on standard error, where tests look for a machine's own words.
if (process.env["FORCE_COLOR"]) delete process.env["NO_COLOR"];

export default defineConfig({
  test: {
    include: ["tests/images/**/*.test.ts"],
    // Above what machine.ts gives a machine.
    testTimeout: 1_000_000,
    hookTimeout: 300_000,
    // Says why something is skipped.
    reporters: ["verbose"],
    maxWorkers: 1,
    fileParallelism: false,
    pool: "forks",
  },
});
