// rdmsr and wrmsr as PV kernels may use them: the list is Xen 4.17's, as far as the processor that we announce (cpuid.ts)
// would have the register. Everything else is #GP, but that a read before any #GP handler exists gives 0, as Xen does it.

import { TRAP_gp_fault } from "../../shared/abi/arch_x86.ts";
import { fillHypercallPage } from "../hypercalls/hypercall_page.ts";
import type { Hypervisor } from "../hypervisor.ts";
import { type CpuState, canonical, Reg } from "../machine/cpu_state.ts";
import type { Vcpu } from "../vcpu.ts";

export const Msr = {
  IA32_TSC: 0x10,
  IA32_APIC_BASE: 0x1b,
  IA32_UCODE_REV: 0x8b,
  IA32_CR_PAT: 0x277,
  IA32_MCG_CAP: 0x179,
  IA32_MCG_STATUS: 0x17a,
  IA32_MCG_CTL: 0x17b,
  /** Four registers a bank: CTL, STATUS, ADDR, MISC. */
  IA32_MC0_CTL: 0x400,
  EFER: 0xc0000080,
  FS_BASE: 0xc0000100,
  GS_BASE: 0xc0000101,
  KERNEL_GS_BASE: 0xc0000102,
  K8_HWCR: 0xc0010015,
  AMD64_NB_CFG: 0xc001001f,
  AMD64_DE_CFG: 0xc0011029,
  /** MSR base of the Xen leaves: writing a frame's address there fills it with the hypercall page. */
  XEN_HYPERCALL: 0x40000000,
} as const;

/** SCE, LME, LMA, NX. */
const EFER = 0xd01;
/** Xen's PAT: WB, WT, UC-, UC, WC, WP, UC, UC. */
const PAT = { lo: 0x00070406, hi: 0x00000501 };
const APIC_BASE_ENABLED = 0xfee00800;
const APIC_BASE_BSP = 0x100;
const LFENCE_SERIALISE = 2;
/** Machine-check banks of a guest, as in Xen. */
const MCA_BANKS = 2;

function isMachineCheck(msr: number): boolean {
  return msr >= Msr.IA32_MC0_CTL && msr < Msr.IA32_MC0_CTL + MCA_BANKS * 4;
}

function give(cpu: CpuState, lo: number, hi: number): true {
  cpu.set(Reg.RAX, lo >>> 0, 0);
  cpu.set(Reg.RDX, hi >>> 0, 0);
  return true;
}

/** Sets EDX:EAX; false: #GP. */
export function readMsr(hv: Hypervisor, vcpu: Vcpu, msr: number): boolean {
  const cpu = vcpu.cpu;
  switch (msr) {
    case Msr.IA32_TSC: {
      const now = hv.time.now();
      return give(cpu, now >>> 0, Math.floor(now / 4294967296));
    }
    case Msr.IA32_APIC_BASE:
      return give(cpu, APIC_BASE_ENABLED | (vcpu.id === 0 ? APIC_BASE_BSP : 0), 0);
    case Msr.IA32_CR_PAT:
      return give(cpu, PAT.lo, PAT.hi);
    case Msr.EFER:
      return give(cpu, EFER, 0);
    case Msr.FS_BASE:
      return give(cpu, cpu.lo(Reg.FS_BASE), cpu.hi(Reg.FS_BASE));
    case Msr.GS_BASE:
      return give(cpu, cpu.lo(Reg.GS_BASE), cpu.hi(Reg.GS_BASE));
    case Msr.KERNEL_GS_BASE:
      return give(cpu, cpu.lo(Reg.GS_BASE_OTHER), cpu.hi(Reg.GS_BASE_OTHER));
    case Msr.IA32_MCG_CAP:
      return give(cpu, MCA_BANKS, 0);
    case Msr.IA32_UCODE_REV:
    case Msr.IA32_MCG_STATUS:
    case Msr.IA32_MCG_CTL:
    case Msr.K8_HWCR:
    case Msr.AMD64_NB_CFG:
      return give(cpu, 0, 0);
    case Msr.AMD64_DE_CFG:
      return give(cpu, LFENCE_SERIALISE, 0);
  }
  if (isMachineCheck(msr)) {
    // Every error is reported, and there never is one.
    const control = (msr & 3) === 0 ? 0xffffffff : 0;
    return give(cpu, control, control);
  }
  if (vcpu.traps.address(TRAP_gp_fault) === 0 && msr >>> 16 !== 0x4000) {
    hv.log.guestLine(`d${vcpu.domain.id}v${vcpu.id} faking RDMSR 0x${msr.toString(16).padStart(8, "0")}`);
    return give(cpu, 0, 0);
  }
  return false;
}

/** False: #GP. */
export function writeMsr(hv: Hypervisor, vcpu: Vcpu, msr: number, lo: number, hi: number): boolean {
  const cpu = vcpu.cpu;
  switch (msr) {
    case Msr.FS_BASE:
    case Msr.GS_BASE:
    case Msr.KERNEL_GS_BASE:
      if (canonical(lo, hi) === -1) return false;
      cpu.set(msr === Msr.FS_BASE ? Reg.FS_BASE : msr === Msr.GS_BASE ? Reg.GS_BASE : Reg.GS_BASE_OTHER, lo, hi);
      return true;
    case Msr.EFER:
      // Linux writes back what it has read.
      return lo === EFER && hi === 0;
    case Msr.IA32_MCG_CTL:
    case Msr.IA32_MCG_STATUS:
    case Msr.K8_HWCR:
    case Msr.AMD64_NB_CFG:
      return true; // Ignored for a domain without the hardware's control, as in Xen.
    case Msr.XEN_HYPERCALL:
      // The low 12 bits number the page, of which there is one.
      return (lo & 0xfff) === 0 && fillHypercallPage(hv, vcpu.domain.id, (lo >>> 12) + hi * 0x100000);
    default:
      // A bank's control can't be changed; its other registers can be cleared, which they are.
      if (isMachineCheck(msr)) return (msr & 3) === 0 || (lo | hi) === 0;
      hv.log.guestLine(
        `d${vcpu.domain.id}v${vcpu.id} WRMSR 0x${msr.toString(16).padStart(8, "0")} val ` +
          `0x${hi.toString(16).padStart(8, "0")}${lo.toString(16).padStart(8, "0")} unimplemented`,
      );
      return false;
  }
}
