// Gives fast-check the seed in XENOLITH_SEED, so that each run tries the same values, as CI does; without it vitest.config.ts
// leaves this out, and each run tries new ones. Where a property fails, fast-check prints its seed.
import fc from "fast-check";

fc.configureGlobal({ seed: Number(process.env["XENOLITH_SEED"]) });
