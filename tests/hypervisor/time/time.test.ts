// Timers in order, the pvclock structure as a guest reads it, the wallclock, vcpu timers and runstates.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Timer, Timers } from "../../../hypervisor/time/timers.ts";
import { enterVcpu } from "../../../hypervisor/time/vcpu_time.ts";
import {
  XEN_DOMCTL_getdomaininfo,
  XEN_DOMCTL_getvcpuinfo,
  XEN_DOMCTL_INTERFACE_VERSION,
  XEN_DOMCTL_settimeoffset,
  XenDomctl,
} from "../../../shared/abi/domctl.ts";
import {
  RUNSTATE_running,
  VCPUOP_get_runstate_info,
  VCPUOP_is_up,
  VCPUOP_register_runstate_memory_area,
  VCPUOP_register_vcpu_info,
  VCPUOP_set_periodic_timer,
  VCPUOP_set_singleshot_timer,
} from "../../../shared/abi/vcpu.ts";
import {
  __HYPERVISOR_domctl,
  __HYPERVISOR_event_channel_op,
  __HYPERVISOR_set_timer_op,
  __HYPERVISOR_vcpu_op,
  __HYPERVISOR_vm_assist,
  SharedInfo,
  VcpuTimeInfo,
} from "../../../shared/abi/xen.ts";
import { BareDomain, FLAT } from "../../harness/bare.ts";
import { bareMachine } from "../../harness/domu.ts";

describe("timers", () => {
  test("fire in the order of their deadlines, equal ones in the order in which they were set", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 20 }), fc.boolean()), { maxLength: 60 }), (list) => {
        const timers = new Timers();
        const fired: number[] = [];
        const all = list.map(([deadline], i) => {
          const timer = new Timer(() => fired.push(i));
          timers.set(timer, deadline);
          return timer;
        });
        list.forEach(([, stop], i) => {
          if (stop) timers.stop(all[i]);
        });
        const expected = list
          .map(([deadline, stop], i) => ({ deadline, stop, i }))
          .filter((t) => !t.stop)
          .sort((x, y) => x.deadline - y.deadline || x.i - y.i)
          .map((t) => t.i);
        timers.run(20);
        expect(fired).toEqual(expected);
        expect(timers.next).toBe(Number.POSITIVE_INFINITY);
      }),
    );
  });

  test("a timer that sets itself for the past fires once a look, so that no guest hangs the machine", () => {
    const timers = new Timers();
    let count = 0;
    const timer: Timer = new Timer(() => {
      count++;
      timers.set(timer, 0);
    });
    timers.set(timer, 0);
    timers.run(10);
    expect(count).toBe(1);
    timers.run(10);
    expect(count).toBe(2);
  });
});

function setUp() {
  const { hv } = bareMachine({ memoryMiB: 32 });
  const a = new BareDomain(hv, 1);
  const vcpuOp = (cmd: number, at: number) => a.call(__HYPERVISOR_vcpu_op, cmd, 0, FLAT + at);
  return { hv, a, vcpuOp };
}

describe("a guest's time", () => {
  test("pvclock: the TSC through the structure's factor is the system time, and the version is even", () => {
    const { hv, a } = setUp();
    hv.time.clock.advance(123_456_789);
    hv.time.updateVcpuTime(a.vcpu.vcpuInfo);
    hv.time.clock.advance(1_000_000_007);
    const info = VcpuTimeInfo.at(hv.memory.view, a.vcpu.vcpuInfo + 32);
    expect(info.version % 2).toBe(0);
    expect(info.version).toBeGreaterThan(0);
    const { lo, hi } = hv.tsc(0);
    const tsc = BigInt(hi) * 2n ** 32n + BigInt(lo);
    const delta = (tsc - info.tsc_timestamp) << BigInt(info.tsc_shift);
    expect(info.system_time + ((delta * BigInt(info.tsc_to_system_mul)) >> 32n)).toBe(BigInt(hv.time.now()));
  });

  test("the wallclock is the time of day at system time 0", () => {
    const { hv, a } = setUp();
    const shared = SharedInfo.at(hv.memory.view, a.domain.sharedInfo * 4096);
    expect([shared.wc_sec, shared.wc_nsec, shared.wc_version % 2]).toEqual([1_700_000_000, 0, 0]);
  });

  test("the single-shot timer raises VIRQ_TIMER at its time, a past one at once, zero stops it", () => {
    const { hv, a, vcpuOp } = setUp();
    const port = a.op(__HYPERVISOR_event_channel_op, 1, [0, 0, 0]).words[2];
    const due = hv.time.now() + 10_000;
    expect(a.call(__HYPERVISOR_set_timer_op, due)).toBe(0);
    expect(hv.time.timers.next).toBe(due);
    hv.time.clock.advance(due - hv.time.now() - 1);
    hv.time.timers.run(hv.time.now());
    expect(hv.events.isPending(a.domain, port)).toBe(false);
    hv.time.clock.advance(1);
    hv.time.timers.run(hv.time.now());
    expect(hv.events.isPending(a.domain, port)).toBe(true);

    a.op(__HYPERVISOR_event_channel_op, 3, [port]);
    a.op(__HYPERVISOR_event_channel_op, 1, [0, 0, 0]);
    a.view.setBigUint64(0x100, 1n, true);
    expect(vcpuOp(VCPUOP_set_singleshot_timer, 0x100)).toBe(0);
    expect(hv.events.isPending(a.domain, port)).toBe(true);

    expect(a.call(__HYPERVISOR_set_timer_op, hv.time.now() + 5000)).toBe(0);
    expect(a.call(__HYPERVISOR_set_timer_op, 0)).toBe(0);
    expect(hv.time.timers.next).toBe(Number.POSITIVE_INFINITY);
    // Out of reach: an old kernel's way to say "some time".
    expect(a.call(__HYPERVISOR_set_timer_op, 2n ** 63n - 1n)).toBe(0);
    expect(hv.time.timers.next - hv.time.now()).toBeLessThanOrEqual(100_000_000);
  });

  test("a periodic timer of less than 1 ms is refused", () => {
    const { a, vcpuOp } = setUp();
    a.view.setBigUint64(0x100, 999_999n, true);
    expect(vcpuOp(VCPUOP_set_periodic_timer, 0x100)).toBe(-22);
    a.view.setBigUint64(0x100, 1_000_000n, true);
    expect(vcpuOp(VCPUOP_set_periodic_timer, 0x100)).toBe(0);
    expect(a.vcpu.periodicNs).toBe(1_000_000);
  });

  test("runstates add up to the time since the vcpu was made, and the registered copy is kept", () => {
    const { hv, a, vcpuOp } = setUp();
    const made = a.vcpu.runstateSince;
    hv.time.clock.advance(1000); // offline
    a.vcpu.down = false;
    hv.sched.unpause(a.domain);
    hv.time.clock.advance(2000); // runnable
    hv.sched.schedule();
    hv.time.clock.advance(3000); // running
    a.vcpu.blocked = true;
    hv.sched.update(a.vcpu);
    hv.sched.schedule();
    hv.time.clock.advance(4000); // blocked
    expect(vcpuOp(VCPUOP_get_runstate_info, 0x100)).toBe(0);
    expect(a.view.getUint32(0x100, true)).toBe(2);
    const times = [0, 1, 2, 3].map((i) => hv.sched.timeIn(a.vcpu, i));
    expect(times.slice(0, 2)).toEqual([3000, 2000]);
    expect(times[3]).toBe(1000);
    expect(times.reduce((x, y) => x + y, 0)).toBe(hv.time.now() - made);

    expect(a.call(__HYPERVISOR_vm_assist, 0, 5)).toBe(0);
    a.view.setBigUint64(0x100, BigInt(FLAT + 0x200), true);
    expect(vcpuOp(VCPUOP_register_runstate_memory_area, 0x100)).toBe(0);
    hv.sched.unblock(a.vcpu);
    hv.sched.schedule();
    enterVcpu(hv, a.vcpu);
    expect(a.view.getUint32(0x200, true)).toBe(0);
    expect(a.view.getUint32(0x20c, true) >>> 31).toBe(0); // The update mark is gone again.
    expect(Number(a.view.getBigUint64(0x208, true))).toBe(a.vcpu.runstateSince);
  });

  test("a registered vcpu_info takes over what was in the old place, announces everything, and only once", () => {
    const { hv, a, vcpuOp } = setUp();
    const mfn = a.data + 5;
    a.view.setBigUint64(0x100, BigInt(mfn), true);
    a.view.setUint32(0x108, 4096 - 56, true);
    expect(vcpuOp(VCPUOP_register_vcpu_info, 0x100)).toBe(-6);
    a.view.setUint32(0x108, 128, true);
    hv.memory.u8[a.vcpu.vcpuInfo + 1] = 1;
    expect(vcpuOp(VCPUOP_register_vcpu_info, 0x100)).toBe(0);
    expect(a.vcpu.vcpuInfo).toBe(mfn * 4096 + 128);
    expect([a.bytes[5 * 4096 + 128], a.bytes[5 * 4096 + 129]]).toEqual([1, 1]);
    expect(a.view.getBigUint64(5 * 4096 + 136, true)).toBe(2n ** 64n - 1n);
    expect(vcpuOp(VCPUOP_register_vcpu_info, 0x100)).toBe(-22);
    expect(vcpuOp(VCPUOP_is_up, 0)).toBe(0);
  });
});

describe("the end of time", () => {
  test.each([
    ["2^63 ns", 2n ** 63n],
    ["2^64 - 1 ns", 2n ** 64n - 1n],
    ["2^57 ns", 2n ** 57n],
  ])("a guest alone with a timer at %s does not take the virtual clock there", (_name, deadline) => {
    const machine = bareMachine({ memoryMiB: 32 });
    const a = new BareDomain(machine.hv, 1);
    machine.hv.sched.unpause(a.domain);
    a.view.setBigUint64(0, deadline, true);
    expect(a.call(__HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, 0, FLAT)).toBe(0);
    machine.runUntil(() => false, 10);
    expect(machine.hv.time.now()).toBeLessThan(2 ** 40);
    expect(machine.step()).toBe(Number.POSITIVE_INFINITY);
  });

  test("times from 2^53 ns on are told, only less exactly", () => {
    const { hv } = bareMachine({ memoryMiB: 32 });
    const a = new BareDomain(hv, 1);
    hv.sched.unpause(a.domain);
    a.view.setBigUint64(0, BigInt(FLAT + 64), true);
    expect(a.call(__HYPERVISOR_vcpu_op, VCPUOP_register_runstate_memory_area, 0, FLAT)).toBe(0);
    hv.time.clock.advance(2 ** 55);
    a.vcpu.down = false;
    hv.sched.update(a.vcpu);
    enterVcpu(hv, a.vcpu);
    hv.time.updateVcpuTime(a.vcpu.vcpuInfo);
    const info = VcpuTimeInfo.at(hv.memory.view, a.vcpu.vcpuInfo + 32);
    expect(info.system_time).toBeGreaterThanOrEqual(2n ** 55n);
    expect(a.view.getBigUint64(64 + 8, true)).toBeGreaterThanOrEqual(2n ** 55n);
    expect(a.call(__HYPERVISOR_vcpu_op, VCPUOP_get_runstate_info, 0, FLAT)).toBe(0);
    const sum = [16, 24, 32, 40].reduce((total, at) => total + a.view.getBigUint64(at, true), 0n);
    expect(sum).toBeGreaterThanOrEqual(2n ** 55n);
  });

  test("dom0 is told how long a vcpu ran, if for months, and can't set a clock to where there are no dates", () => {
    const { hv } = bareMachine({ memoryMiB: 32 });
    const dom0 = new BareDomain(hv, 0, { privileged: true });
    const a = new BareDomain(hv, 1);
    a.vcpu.runstateTime[RUNSTATE_running] = 2 ** 54 + 4;
    const op = XenDomctl.at(dom0.view);
    op.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op.domain = 1;
    op.cmd = XEN_DOMCTL_getdomaininfo;
    expect(dom0.call(__HYPERVISOR_domctl, FLAT)).toBe(0);
    expect(op.getdomaininfo.cpu_time).toBe(2n ** 54n + 4n);
    op.cmd = XEN_DOMCTL_getvcpuinfo;
    op.getvcpuinfo.vcpu = 0;
    expect(dom0.call(__HYPERVISOR_domctl, FLAT)).toBe(0);
    expect(op.getvcpuinfo.cpu_time).toBe(2n ** 54n + 4n);
    op.cmd = XEN_DOMCTL_settimeoffset;
    op.settimeoffset.time_offset_seconds = 2n ** 62n;
    expect(dom0.call(__HYPERVISOR_domctl, FLAT)).toBe(-22);
    expect(a.domain.timeOffsetSeconds).toBe(0);
  });
});
