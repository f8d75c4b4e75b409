// Sorts instruction forms (iced-x86 `Code` values) into what the processor must run, what only the hypervisor carries
// out, and vector and x87 code. Called by the coverage report and by the decoder's oracle test.

import { CpuidFeature, type Instruction, Mnemonic } from "iced-x86";

export type Class = "integer" | "privileged" | "fpu" | "system";

/** Features whose instructions work on general registers and memory alone. */
const INTEGER = new Set<CpuidFeature>([
  CpuidFeature.INTEL8086,
  CpuidFeature.INTEL186,
  CpuidFeature.INTEL286,
  CpuidFeature.INTEL386,
  CpuidFeature.INTEL486,
  CpuidFeature.X64,
  CpuidFeature.CMOV,
  CpuidFeature.CX8,
  CpuidFeature.CMPXCHG16B,
  CpuidFeature.BMI1,
  CpuidFeature.BMI2,
  CpuidFeature.ADX,
  CpuidFeature.POPCNT,
  CpuidFeature.LZCNT,
  CpuidFeature.MOVBE,
  CpuidFeature.MULTIBYTENOP,
  CpuidFeature.PAUSE,
  CpuidFeature.CLFSH,
  CpuidFeature.CET_IBT,
  CpuidFeature.PREFETCHW,
  CpuidFeature.TSC,
]);

/** Vector features' members that touch no vector register. */
const INTEGER_MNEMONICS = new Set<Mnemonic>([
  Mnemonic.Crc32,
  Mnemonic.Prefetcht0,
  Mnemonic.Prefetcht1,
  Mnemonic.Prefetcht2,
  Mnemonic.Prefetchnta,
  Mnemonic.Prefetch,
  Mnemonic.Prefetchw,
  Mnemonic.Sfence,
  Mnemonic.Lfence,
  Mnemonic.Mfence,
  Mnemonic.Movnti,
  Mnemonic.Lahf,
  Mnemonic.Sahf,
]);

/** What is refused or carried out by the hypervisor although the manual does not call it privileged. */
const PRIVILEGED_MNEMONICS = new Set<Mnemonic>([
  Mnemonic.In,
  Mnemonic.Out,
  Mnemonic.Insb,
  Mnemonic.Insw,
  Mnemonic.Insd,
  Mnemonic.Outsb,
  Mnemonic.Outsw,
  Mnemonic.Outsd,
  Mnemonic.Cli,
  Mnemonic.Sti,
  Mnemonic.Cpuid,
  Mnemonic.Sgdt,
  Mnemonic.Sidt,
  Mnemonic.Sldt,
  Mnemonic.Str,
  Mnemonic.Smsw,
]);

const MSR = new Set<Mnemonic>([Mnemonic.Rdmsr, Mnemonic.Wrmsr, Mnemonic.Rdpmc]);
const FPU = /^(FPU|MMX|SSE|SSSE|AVX|AES|PCLMUL|SHA|FMA|FXSR|XSAVE|GFNI|VAES|VPCLMUL|F16C|D3NOW|CYRIX_FPU)/;

/** The class of a decoded instruction: "system" for features that a PV guest is never shown (VMX, SGX, SMAP, ...). */
export function classOf(instruction: Instruction): Class {
  const mnemonic = instruction.mnemonic;
  if (PRIVILEGED_MNEMONICS.has(mnemonic)) return "privileged";
  if (INTEGER_MNEMONICS.has(mnemonic)) return "integer";
  const features = [...instruction.cpuidFeatures()];
  const ring0 = instruction.isPrivileged;
  if (features.every((feature) => INTEGER.has(feature))) return ring0 ? "privileged" : "integer";
  if (features.some((feature) => FPU.test(CpuidFeature[feature]))) return "fpu";
  return MSR.has(mnemonic) ? "privileged" : "system";
}
