// HYPERVISOR_vcpu_op (public/vcpu.h) and set_timer_op: bringing vcpus up and down, their timers, and the places where they
// want their vcpu_info, runstate and time kept. All act on vcpus of the caller's own domain.

import { VcpuGuestContext } from "../../shared/abi/arch_x86.ts";
import { XEN_EEXIST, XEN_EFAULT, XEN_EINVAL, XEN_ENOENT, XEN_ENOSYS, XEN_ENXIO } from "../../shared/abi/errno.ts";
import { SHUTDOWN_poweroff } from "../../shared/abi/sched.ts";
import {
  VCPUOP_down,
  VCPUOP_get_physid,
  VCPUOP_get_runstate_info,
  VCPUOP_initialise,
  VCPUOP_is_up,
  VCPUOP_register_runstate_memory_area,
  VCPUOP_register_vcpu_info,
  VCPUOP_register_vcpu_time_memory_area,
  VCPUOP_send_nmi,
  VCPUOP_set_periodic_timer,
  VCPUOP_set_singleshot_timer,
  VCPUOP_stop_periodic_timer,
  VCPUOP_stop_singleshot_timer,
  VCPUOP_up,
  VcpuRegisterVcpuInfo,
  VcpuRunstateInfo,
  VcpuSetSingleshotTimer,
} from "../../shared/abi/vcpu.ts";
import { VcpuInfo, VcpuTimeInfo, VIRQ_TIMER } from "../../shared/abi/xen.ts";
import type { Mfn, Va } from "../../shared/brand.ts";
import type { Hypervisor } from "../hypervisor.ts";
import { shutdownDomain } from "../lifecycle.ts";
import { MIN_PERIODIC_NS } from "../limits.ts";
import { canonical } from "../machine/cpu_state.ts";
import { FRAME_SIZE } from "../machine/memory.ts";
import { PageType } from "../memory/frame_table.ts";
import { rangeOk } from "../memory/guest_access.ts";
import { fillRunstate, setPeriodic, writeRunstateArea, writeTimeArea } from "../time/vcpu_time.ts";
import type { Vcpu } from "../vcpu.ts";
import { setContext } from "../vcpu_context.ts";
import { CONTINUE, type Handler } from "./args.ts";
import { pause } from "./batch.ts";
import { copyIn } from "./copy.ts";

/** The longest period and delay, ns: Xen's STIME_DELTA_MAX, and the bound of set_timer_op (2^50, 13 days). */
const MAX_PERIOD_NS = 2 ** 62;
const FAR_NS = 2 ** 50;
const FAR_FALLBACK_NS = 100_000_000;

/** (command, vcpu, argument) */
export const vcpuOp: Handler = (hv, current, a) => {
  const vcpu = current.domain.vcpus[a.u32(1)];
  if (vcpu === undefined) return -XEN_ENOENT;
  const va = a.va(2);
  switch (a.i32(0)) {
    case VCPUOP_initialise:
      return initialise(hv, current, vcpu, va);
    case VCPUOP_up:
      if (!vcpu.initialised) return -XEN_EINVAL;
      vcpu.down = false;
      hv.sched.update(vcpu);
      return 0;
    case VCPUOP_down:
      return down(hv, vcpu);
    case VCPUOP_is_up:
      return vcpu.down ? 0 : 1;
    case VCPUOP_get_runstate_info:
      fillRunstate(hv, vcpu, 0);
      return hv.access.write(current, va, hv.scratchBytes, 0, VcpuRunstateInfo.size) ? 0 : -XEN_EFAULT;
    case VCPUOP_register_runstate_memory_area:
      return registerArea(hv, current, vcpu, va, VcpuRunstateInfo.size, (area) => {
        vcpu.runstateArea = area;
        writeRunstateArea(hv, vcpu);
      });
    case VCPUOP_register_vcpu_time_memory_area:
      return registerArea(hv, current, vcpu, va, VcpuTimeInfo.size, (area) => {
        vcpu.timeArea = area;
        writeTimeArea(hv, vcpu);
      });
    case VCPUOP_set_periodic_timer: {
      const period = hv.access.readU64(current, va);
      if (period === -1) return -XEN_EFAULT;
      if (period < MIN_PERIODIC_NS || period > MAX_PERIOD_NS) return -XEN_EINVAL;
      setPeriodic(hv, vcpu, period);
      return 0;
    }
    case VCPUOP_stop_periodic_timer:
      setPeriodic(hv, vcpu, 0);
      return 0;
    case VCPUOP_set_singleshot_timer: {
      if (vcpu !== current) return -XEN_EINVAL;
      const arg = copyIn(hv, current, va, VcpuSetSingleshotTimer);
      if (arg === undefined) return -XEN_EFAULT;
      setSingleshot(hv, vcpu, arg.timeout_abs_ns_num);
      return 0;
    }
    case VCPUOP_stop_singleshot_timer:
      if (vcpu !== current) return -XEN_EINVAL;
      hv.time.timers.stop(vcpu.singleshotTimer);
      return 0;
    case VCPUOP_register_vcpu_info:
      return registerVcpuInfo(hv, current, vcpu, va);
    case VCPUOP_send_nmi:
      if (!a.isNull(2)) return -XEN_EINVAL;
      vcpu.nmiPending = true;
      hv.sched.unblock(vcpu);
      return 0;
    case VCPUOP_get_physid:
      return -XEN_EINVAL; // Only for vcpus that are pinned for the hardware's sake.
    default:
      return -XEN_ENOSYS;
  }
};

function setSingleshot(hv: Hypervisor, vcpu: Vcpu, timeout: number): void {
  if (timeout < hv.time.now()) {
    hv.time.timers.stop(vcpu.singleshotTimer);
    hv.events.sendVcpuVirq(vcpu, VIRQ_TIMER);
  } else hv.time.timers.set(vcpu.singleshotTimer, timeout);
}

/** (absolute system time in ns, 0: stop): a time in the past fires at once, one out of reach in 100 ms. */
export const setTimerOp: Handler = (hv, vcpu, a) => {
  const timeout = a.num(0);
  if (timeout === 0) hv.time.timers.stop(vcpu.singleshotTimer);
  else {
    const far = timeout - hv.time.now() >= FAR_NS;
    hv.time.timers.set(vcpu.singleshotTimer, far ? hv.time.now() + FAR_FALLBACK_NS : timeout);
  }
  return 0;
};

function initialise(hv: Hypervisor, current: Vcpu, vcpu: Vcpu, va: Va | -1): number {
  const context = VcpuGuestContext.create();
  const bytes = new Uint8Array(context.$view.buffer as ArrayBuffer);
  if (!hv.access.read(current, va, bytes, 0, bytes.length)) return -XEN_EFAULT;
  if (vcpu.initialised) return -XEN_EEXIST;
  // Its tables may be new ones, of any size.
  const tables = [3, 1].map((cr) => Math.floor(context.ctrlreg.num(cr) / FRAME_SIZE));
  const set = (): number => setContext(hv, vcpu, context);
  return hv.mm.inPieces(vcpu.domain.memory, tables, () => pause(hv), set) ?? CONTINUE;
}

function down(hv: Hypervisor, vcpu: Vcpu): number {
  if (vcpu.domain.vcpus.every((other) => other === vcpu || other.down)) {
    shutdownDomain(hv, vcpu.domain, SHUTDOWN_poweroff);
    return 0;
  }
  vcpu.down = true;
  hv.sched.update(vcpu);
  return 0;
}

/** Reads the address of an area and checks its range; writing it may still fail later, which only the guest notices. */
function registerArea(
  hv: Hypervisor,
  current: Vcpu,
  vcpu: Vcpu,
  va: Va | -1,
  size: number,
  register: (area: Va) => void,
): number {
  if (!hv.access.read(current, va, hv.scratchBytes, 0, 8)) return -XEN_EFAULT;
  const area = canonical(hv.scratch.getUint32(0, true), hv.scratch.getUint32(4, true));
  if (!rangeOk(area, size)) return -XEN_EFAULT;
  if (area === 0) {
    // NULL: no copy any more. Xen would go on trying to write to address 0.
    if (size === VcpuRunstateInfo.size) vcpu.runstateArea = -1;
    else vcpu.timeArea = -1;
    return 0;
  }
  register(area);
  return 0;
}

function registerVcpuInfo(hv: Hypervisor, current: Vcpu, vcpu: Vcpu, va: Va | -1): number {
  const arg = copyIn(hv, current, va, VcpuRegisterVcpuInfo);
  if (arg === undefined) return -XEN_EFAULT;
  const mfn = arg.mfn_num;
  const offset = arg.offset;
  if (offset > FRAME_SIZE - VcpuInfo.size || offset % 8 !== 0) return -XEN_ENXIO;
  if (vcpu.vcpuInfoFrame !== 0) return -XEN_EINVAL;
  if (vcpu !== current && !vcpu.down) return -XEN_EINVAL;
  if (hv.mm.types.getPageAndType(mfn, vcpu.domain.id, PageType.Writable) !== 0) return -XEN_EINVAL;
  const place = mfn * FRAME_SIZE + offset;
  hv.memory.u8.copyWithin(place, vcpu.vcpuInfo, vcpu.vcpuInfo + VcpuInfo.size);
  hv.tlb.dropCode(mfn as Mfn);
  vcpu.vcpuInfo = place;
  vcpu.vcpuInfoFrame = (mfn | 0) as Mfn;
  // Everything is announced anew, so that nothing gets lost on the way.
  const sel = (place + VcpuInfo.offsets.evtchn_pending_sel) >>> 2;
  Atomics.store(hv.memory.i32, sel, -1);
  Atomics.store(hv.memory.i32, sel + 1, -1);
  hv.events.markPending(vcpu);
  hv.time.updateVcpuTime(place);
  return 0;
}
