// What `cpuid` tells a guest, with and without the forced-emulation prefix: the processor that machine/x86/ is, no more
// than it implements, and Xen's own leaves from 0x40000000 (public/arch-x86/cpuid.h). No topology, no caches, no frequency:
// Linux does without.

import {
  XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD,
  XEN_CPUID_FIRST_LEAF,
  XEN_CPUID_MAX_NUM_LEAVES,
  XEN_CPUID_SIGNATURE_EBX,
  XEN_CPUID_SIGNATURE_ECX,
  XEN_CPUID_SIGNATURE_EDX,
} from "../../shared/abi/arch_x86.ts";
import { XEN_MAJOR, XEN_MINOR } from "../hypercalls/version_info.ts";
import type { Hypervisor } from "../hypervisor.ts";
import { Reg } from "../machine/cpu_state.ts";
import type { Vcpu } from "../vcpu.ts";

const VENDOR = "AuthenticAMD";
const BRAND = "Xenolith virtual x86-64 processor";
/** Family 6, model 6, stepping 3, as QEMU's default processor has it. */
const SIGNATURE = 0x663;
const TSC_KHZ = 1_000_000;

const bits = (...n: number[]): number => n.reduce((word, bit) => word | (1 << bit), 0) >>> 0;

/**
 * Leaf 1 EDX: FPU, TSC, MSR, PAE, MCE, CX8, APIC, MCA, CMOV, PAT, CLFLUSH, MMX, FXSR, SSE, SSE2. There is no APIC to be
 * reached, as in every PV domain, whose kernels know; PAT's bit in entries is kept and has no meaning, for memory has
 * one type; machine checks have their registers, and never happen.
 */
const FEATURES_1_EDX = bits(0, 4, 5, 6, 7, 8, 9, 14, 15, 16, 19, 23, 24, 25, 26);
/** Leaf 1 ECX: SSE3 is not there; CX16, POPCNT; HYPERVISOR. */
const FEATURES_1_ECX = bits(13, 23, 31);
/** Leaf 0x80000001 EDX: those of leaf 1 that AMD repeats, SYSCALL, NX, RDTSCP is not there, LM. */
const FEATURES_E1_EDX = bits(0, 4, 5, 6, 7, 8, 9, 11, 14, 15, 16, 20, 23, 24, 29);
/** Leaf 0x80000001 ECX: LAHF in 64-bit mode. */
const FEATURES_E1_ECX = bits(0);
/** CLFLUSH line of 64 bytes, in units of 8. */
const CLFLUSH_8 = 8;

function text(s: string, at: number): number {
  let word = 0;
  for (let i = 3; i >= 0; i--) word = (word << 8) | (at + i < s.length ? s.charCodeAt(at + i) : 0);
  return word >>> 0;
}

/** EAX, EBX, ECX, EDX of a leaf. */
export function cpuidLeaf(hv: Hypervisor, leaf: number, subleaf: number): [number, number, number, number] {
  if (leaf >= XEN_CPUID_FIRST_LEAF && leaf < XEN_CPUID_FIRST_LEAF + 0x100) return xenLeaf(hv, leaf, subleaf);
  switch (leaf) {
    case 0:
      return [0xd, text(VENDOR, 0), text(VENDOR, 8), text(VENDOR, 4)];
    case 1:
      // One processor, whichever vcpu asks: the initial APIC id is 0.
      return [SIGNATURE, (1 << 16) | (CLFLUSH_8 << 8), FEATURES_1_ECX, FEATURES_1_EDX];
    case 0x80000000:
      return [0x80000008, text(VENDOR, 0), text(VENDOR, 8), text(VENDOR, 4)];
    case 0x80000001:
      return [SIGNATURE, 0, FEATURES_E1_ECX, FEATURES_E1_EDX];
    case 0x80000002:
    case 0x80000003:
    case 0x80000004: {
      const at = (leaf - 0x80000002) * 16;
      return [text(BRAND, at), text(BRAND, at + 4), text(BRAND, at + 8), text(BRAND, at + 12)];
    }
    case 0x80000007:
      return [0, 0, 0, 1 << 8]; // The TSC runs at a constant rate.
    case 0x80000008:
      return [40 | (48 << 8), 0, 0, 0]; // Physical and virtual address bits; machine memory ends far below.
    default:
      return [0, 0, 0, 0];
  }
}

function xenLeaf(hv: Hypervisor, leaf: number, subleaf: number): [number, number, number, number] {
  switch (leaf - XEN_CPUID_FIRST_LEAF) {
    case 0: {
      const last = XEN_CPUID_FIRST_LEAF + XEN_CPUID_MAX_NUM_LEAVES;
      return [last, XEN_CPUID_SIGNATURE_EBX, XEN_CPUID_SIGNATURE_ECX, XEN_CPUID_SIGNATURE_EDX];
    }
    case 1:
      return [(XEN_MAJOR << 16) | XEN_MINOR, 0, 0, 0];
    case 2:
      return [1, XEN_CPUID_FIRST_LEAF, XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD, 0];
    case 3:
      if (subleaf === 0) return [2, 0, TSC_KHZ, 1]; // The host's TSC is safe; native mode; first incarnation.
      if (subleaf === 1) return [0, 0, 0x80000000, 1]; // As in vcpu_time_info.
      return subleaf === 2 ? [TSC_KHZ, 0, 0, 0] : [0, 0, 0, 0];
    case 5:
      return subleaf === 0 ? [0, 32 - Math.clz32(hv.memory.frames - 1) + 12, 0, 0] : [0, 0, 0, 0];
    default:
      return [0, 0, 0, 0];
  }
}

/** The instruction: leaf and subleaf from EAX and ECX, the answer into the registers' low halves. */
export function cpuid(hv: Hypervisor, vcpu: Vcpu): void {
  const cpu = vcpu.cpu;
  const [a, b, c, d] = cpuidLeaf(hv, cpu.lo(Reg.RAX), cpu.lo(Reg.RCX));
  cpu.set(Reg.RAX, a >>> 0, 0);
  cpu.set(Reg.RBX, b >>> 0, 0);
  cpu.set(Reg.RCX, c >>> 0, 0);
  cpu.set(Reg.RDX, d >>> 0, 0);
}
