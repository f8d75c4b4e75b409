// Random hypercalls with hostile arguments, from a domU and from a privileged domain: whatever they are, nothing is thrown
// out of the hypervisor, and page types, counts and owners stay right. A failing seed is printed by fast-check.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Reg } from "../../hypervisor/machine/cpu_state.ts";
import { BareDomain, FLAT } from "../harness/bare.ts";
import { bareMachine } from "../harness/domu.ts";

/** Values that handlers have limits at, addresses good and bad, small numbers. */
const interesting = fc.oneof(
  fc.integer({ min: 0, max: 40 }),
  fc.integer({ min: 0, max: 0x7fff }).map((n) => FLAT + n),
  fc.constantFrom(0x7ff0, 0x7ff1, 0x7ff4, 0xfff, 0x1000, 128, 129, 256, 4095, 4096, 7168, 8192, 65535, 65536),
  fc
    .constantFrom(
      0n,
      -1n,
      2n ** 31n,
      2n ** 32n,
      2n ** 47n,
      2n ** 52n,
      2n ** 63n,
      0xffff800000000000n,
      0xffff87fffffffff8n,
    )
    .chain((base) => fc.integer({ min: -16, max: 16 }).map((n) => BigInt.asUintN(64, base + BigInt(n)))),
  fc.constantFrom(0x1000n, 0x7fffffffffffn, 0xffffffff80000000n, 0x7fffffffffff8n),
);
const call = fc.record({
  nr: fc.integer({ min: 0, max: 44 }),
  args: fc.array(interesting, { minLength: 6, maxLength: 6 }),
  /** Where the argument structure lies, and 64-bit words to put there first. */
  words: fc.array(interesting, { maxLength: 20 }),
  at: fc.oneof(
    fc.constantFrom(0xff0, 0xffc, 0x1ff8),
    fc.integer({ min: 0, max: 96 }).map((n) => n * 8 * 97 + n),
  ),
  vcpu: fc.integer({ min: 0, max: 1 }),
});

/** Sequences tried; the slow suite sets more. */
const RUNS = Number(process.env.XENOLITH_FUZZ_RUNS ?? 40);

/** Calls that end the domain by design, so that the rest of the sequence would do nothing. */
const SCHED_OP = 29;
const SCHED_OP_COMPAT = 6;
const IRET = 23;
const SYSCTL = 35;
const DOMCTL = 36;

describe("hostile hypercalls", () => {
  for (const privileged of [false, true])
    test(`of a ${privileged ? "privileged domain" : "domU"} throw nothing and leave the page types right`, () => {
      fc.assert(
        fc.property(fc.array(call, { minLength: 1, maxLength: 60 }), (calls) => {
          const machine = bareMachine({ memoryMiB: 24 });
          const { hv } = machine;
          const a = new BareDomain(hv, privileged ? 0 : 1, { vcpus: 2, privileged });
          const b = new BareDomain(hv, 2);
          hv.sched.unpause(a.domain);
          for (const { nr, args, words, at, vcpu } of calls) {
            if (nr === IRET || nr === SCHED_OP_COMPAT || (nr === SCHED_OP && (args[0] === 2 || args[0] === 4)))
              continue;
            // domctl and sysctl look at nothing before their version is right.
            if (nr === SYSCTL || nr === DOMCTL)
              words[0] = BigInt(at % 97) + BigInt(args[0] === 0 ? 1 : 0x15) * 2n ** 32n;
            if (nr === SYSCTL || nr === DOMCTL) args[0] = FLAT + at;
            words.forEach((word, i) => {
              a.view.setBigUint64(at + i * 8, BigInt.asUintN(64, BigInt(word)), true);
            });
            const before = hv.domains.get(a.domain.id);
            if (before !== a.domain) break;
            a.callOn(a.domain.vcpus[vcpu], nr, ...args);
            // What the call may have changed of the caller's own state is put back, so that the next can be made.
            a.domain.vcpus[vcpu].kernelMode = true;
          }
          hv.current = a.vcpu;
          hv.time.timers.run(Number.POSITIVE_INFINITY);
          expect(machine.checker()).toEqual([]);
          if (!privileged) expect(b.bytes.every((byte) => byte === 0)).toBe(true);
        }),
        { numRuns: RUNS },
      );
    });

  test("a frame is delivered or the domain crashed, whatever the registers are", () => {
    fc.assert(
      fc.property(
        fc.array(interesting, { minLength: 18, maxLength: 18 }),
        interesting,
        fc.integer({ min: 0, max: 31 }),
        (registers, kernelSp, vector) => {
          const machine = bareMachine({ memoryMiB: 24 });
          const { hv } = machine;
          const a = new BareDomain(hv, 1);
          hv.current = a.vcpu;
          a.call(3, 0, kernelSp);
          a.vcpu.traps.set(vector, 4, 0xe033, (FLAT + 0x100) as never);
          registers.forEach((value, reg) => {
            a.vcpu.cpu.setBig(reg, BigInt.asUintN(64, BigInt(value)));
          });
          hv.traps.inject(a.vcpu, vector, 0);
          expect(a.domain.isShutDown || a.vcpu.cpu.num(Reg.RIP) === FLAT + 0x100).toBe(true);
          if (!a.domain.isShutDown) a.call(23); // iret, of whatever lies on the stack
          expect(machine.checker()).toEqual([]);
        },
      ),
      { numRuns: RUNS },
    );
  });
});
