// The timers of a vcpu and what follows from its getting or losing the processor: VIRQ_TIMER from the single-shot and the
// periodic timer, the end of a poll, and the guest's registered copies of its runstate and time. Called by vcpu_op,
// set_timer_op and the main loop. As in Xen, periodic ticks come only while the vcpu runs; a missed one is given at once.
//
// A registered runstate copy is written when the vcpu gets the processor. With the runstate_update_flag assist: 1. bit 63 of
// state_entry_time is set; 2. the rest is written; 3. state_entry_time is written without the bit.

import { RUNSTATE_running, VcpuRunstateInfo } from "../../shared/abi/vcpu.ts";
import { VcpuInfo, VcpuTimeInfo, VIRQ_TIMER, VMASST_TYPE_runstate_update_flag } from "../../shared/abi/xen.ts";
import type { Va } from "../../shared/brand.ts";
import type { Hypervisor } from "../hypervisor.ts";
import { checkDataSegments } from "../traps/failsafe.ts";
import { withKernelTable } from "../traps/guest_mode.ts";
import type { Vcpu, VcpuHooks } from "../vcpu.ts";
import { nsHigh } from "./time.ts";

const ENTRY_TIME = VcpuRunstateInfo.offsets.state_entry_time;
const UPDATE_HIGH = 0x80000000;

export function vcpuHooks(hv: Hypervisor): VcpuHooks {
  return {
    singleshot: (vcpu) => hv.events.sendVcpuVirq(vcpu, VIRQ_TIMER),
    periodic: (vcpu) => {
      if (hv.sched.running === vcpu) periodicTick(hv, vcpu);
    },
    pollTimeout: (vcpu) => hv.sched.endPoll(vcpu),
  };
}

/** Sends the tick when one is due, and sets the timer for the next. */
function periodicTick(hv: Hypervisor, vcpu: Vcpu): void {
  const now = hv.time.now();
  if (now >= vcpu.periodicLast + vcpu.periodicNs) {
    vcpu.periodicLast = now;
    hv.events.sendVcpuVirq(vcpu, VIRQ_TIMER);
  }
  hv.time.timers.set(vcpu.periodicTimer, vcpu.periodicLast + vcpu.periodicNs);
}

/** Sets the period, 0: none; the first tick is a period from now. */
export function setPeriodic(hv: Hypervisor, vcpu: Vcpu, periodNs: number): void {
  vcpu.periodicNs = periodNs;
  vcpu.periodicLast = hv.time.now();
  if (periodNs > 0 && hv.sched.running === vcpu) periodicTick(hv, vcpu);
  else hv.time.timers.stop(vcpu.periodicTimer);
}

/** The vcpu got the processor. */
export function enterVcpu(hv: Hypervisor, vcpu: Vcpu): void {
  if (vcpu.periodicNs > 0) periodicTick(hv, vcpu);
  if (vcpu.runstateArea !== -1) withKernelTable(vcpu, () => writeRunstateArea(hv, vcpu));
  checkDataSegments(hv, vcpu);
}

/** It lost the processor. */
export function leaveVcpu(hv: Hypervisor, vcpu: Vcpu): void {
  if (vcpu.periodicNs > 0) hv.time.timers.stop(vcpu.periodicTimer);
}

/** Fills struct vcpu_runstate_info, as of now, at byte `at` of scratch. */
export function fillRunstate(hv: Hypervisor, vcpu: Vcpu, at: number): void {
  hv.scratchBytes.fill(0, at, at + VcpuRunstateInfo.size); // Its padding goes to the guest too.
  const info = VcpuRunstateInfo.at(hv.scratch, at);
  info.state = vcpu.runstate;
  info.state_entry_time_lo = vcpu.runstateSince >>> 0;
  info.state_entry_time_hi = nsHigh(vcpu.runstateSince);
  for (let state = RUNSTATE_running; state < 4; state++) {
    // Of the state that it is in, only what lies before the entry time is counted, unless somebody else asks.
    const time = hv.current === vcpu ? vcpu.runstateTime[state] : hv.sched.timeIn(vcpu, state);
    info.time.setHalves(state, time >>> 0, nsHigh(time));
  }
}

/** Writes the copy through the present page table; a place that can't be written is left alone. */
export function writeRunstateArea(hv: Hypervisor, vcpu: Vcpu): boolean {
  fillRunstate(hv, vcpu, 0);
  const va = vcpu.runstateArea;
  if (va === -1) return false;
  if (!vcpu.domain.assists(VMASST_TYPE_runstate_update_flag))
    return hv.access.write(vcpu, va, hv.scratchBytes, 0, VcpuRunstateInfo.size);
  const high = hv.scratch.getUint32(ENTRY_TIME + 4, true);
  hv.scratch.setUint32(ENTRY_TIME + 4, high | UPDATE_HIGH, true);
  const flagged = hv.access.write(vcpu, (va + ENTRY_TIME) as Va, hv.scratchBytes, ENTRY_TIME, 8);
  if (!flagged || !hv.access.write(vcpu, va, hv.scratchBytes, 0, VcpuRunstateInfo.size)) return false;
  hv.scratch.setUint32(ENTRY_TIME + 4, high, true);
  return hv.access.write(vcpu, (va + ENTRY_TIME) as Va, hv.scratchBytes, ENTRY_TIME, 8);
}

/** Writes the vcpu's registered copy of vcpu_time_info. The scale never changes, so once is enough. */
export function writeTimeArea(hv: Hypervisor, vcpu: Vcpu): boolean {
  const from = vcpu.vcpuInfo + VcpuInfo.offsets.time;
  hv.scratchBytes.set(hv.memory.u8.subarray(from, from + VcpuTimeInfo.size));
  return hv.access.write(vcpu, vcpu.timeArea, hv.scratchBytes, 0, VcpuTimeInfo.size);
}
