// A slice on the real clock ends in time whatever the hypervisor's work for the guest takes: what work costs is estimated, and
// the estimate is what a hostile guest would choose its calls by.

import { expect, it } from "vitest";
import { createMachine } from "../../hypervisor/index.ts";
import { Reg } from "../../hypervisor/machine/cpu_state.ts";
import type { Va } from "../../shared/brand.ts";
import { BareDomain, FLAT } from "../harness/bare.ts";

const CALL_NS = 1_000_000;
/** Calls between two looks at the clock. */
const LOOK_EVERY = 32;

it("a guest whose hypercalls take longer than they are charged for loses the processor soon", () => {
  let nowNs = 0;
  const { hv, step } = ((machine) => ({ hv: machine.hv, step: () => machine.step() }))(
    createMachine({
      memory: { mib: 32 },
      clock: "real",
      hostClock: { nowNs: () => nowNs, wallclockNs: () => 0n },
    }),
  );
  const a = new BareDomain(hv, 1);
  // mov eax, xen_version; xor edi, edi; syscall; jmp to the start
  a.bytes.set([0xb8, 17, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05, 0xeb, 0xf5]);
  a.vcpu.cpu.setVa(Reg.RIP, FLAT as Va);
  a.vcpu.down = false;
  hv.sched.unpause(a.domain);
  let calls = 0;
  let checks = 0;
  const call = hv.dispatcher.call.bind(hv.dispatcher);
  hv.dispatcher.call = (vcpu) => {
    nowNs += CALL_NS;
    // A long call asks whether it is to be continued later.
    if (calls++ === 0) while (!hv.preemptCheck() && checks < 1000) checks++;
    return call(vcpu);
  };
  step();
  expect(calls).toBe(1);
  expect(checks).toBeLessThan(LOOK_EVERY);
  step();
  expect(calls).toBeLessThanOrEqual(1 + LOOK_EVERY);
});
