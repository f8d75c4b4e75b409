// A vcpu's whole state as struct vcpu_guest_context (public/arch-x86/xen.h): loading it, for domctl setvcpucontext and
// VCPUOP_initialise, and filling it, for getvcpucontext. All of it is a guest's or a toolstack's word: addresses must be
// canonical, selectors get RPL 3 and must name flat or GDT segments that can be loaded, tables are taken by reference.

import {
  FLAT_KERNEL_CS,
  FLAT_KERNEL_SS,
  type VcpuGuestContext,
  VGCF_failsafe_disables_events,
  VGCF_i387_valid,
  VGCF_in_kernel,
  VGCF_online,
  VGCF_syscall_disables_events,
} from "../shared/abi/arch_x86.ts";
import { XEN_EINVAL, XEN_EOPNOTSUPP } from "../shared/abi/errno.ts";
import type { Of } from "../shared/abi/struct.ts";
import { VMASST_TYPE_m2p_strict } from "../shared/abi/xen.ts";
import type { Va } from "../shared/brand.ts";
import type { Hypervisor } from "./hypervisor.ts";
import { CpuLayout, type CpuState, canonical, Reg, Seg } from "./machine/cpu_state.ts";
import { addressOk } from "./memory/guest_access.ts";
import { readDebug, writeDebug } from "./traps/control_registers.ts";
import { Flag } from "./traps/flags.ts";
import { codeSelectorOk, stackSelectorOk } from "./traps/segments.ts";
import type { Vcpu } from "./vcpu.ts";

type Context = Of<typeof VcpuGuestContext>;

const MAX_LDT_ENTRIES = 8192;
const GDT_FRAMES = 14;
const GENERAL = [
  ["rax", Reg.RAX],
  ["rcx", Reg.RCX],
  ["rdx", Reg.RDX],
  ["rbx", Reg.RBX],
  ["rsp", Reg.RSP],
  ["rbp", Reg.RBP],
  ["rsi", Reg.RSI],
  ["rdi", Reg.RDI],
  ["r8", Reg.R8],
  ["r9", Reg.R9],
  ["r10", Reg.R10],
  ["r11", Reg.R11],
  ["r12", Reg.R12],
  ["r13", Reg.R13],
  ["r14", Reg.R14],
  ["r15", Reg.R15],
  ["rip", Reg.RIP],
] as const;
const SELECTORS = [
  ["es", Seg.ES],
  ["cs", Seg.CS],
  ["ss", Seg.SS],
  ["ds", Seg.DS],
  ["fs", Seg.FS],
  ["gs", Seg.GS],
] as const;
/** VMASST_TYPE_ 0 to 5; m2p_strict, 32, besides. */
export const VM_ASSIST_VALID = 0x3f;
/** MXCSR bits that may be set. */
const MXCSR_MASK = 0xffbf;

/** 0, or a negative errno and the vcpu is as it was (a new one may have lost the tables it was given). */
export function setContext(hv: Hypervisor, vcpu: Vcpu, c: Context): number {
  const error = check(vcpu, c) || (vcpu.initialised ? unchanged(vcpu, c) : takeTables(hv, vcpu, c));
  if (error) return error;
  const error2 = checkSelectors(hv, vcpu, c);
  if (error2) {
    if (!vcpu.initialised) hv.mm.releaseVcpu(vcpu);
    return error2;
  }
  loadRegisters(hv, vcpu, c);
  loadTraps(vcpu, c);
  if (!vcpu.initialised && vcpu.id === 0) {
    vcpu.domain.vmAssist = c.vm_assist_lo & VM_ASSIST_VALID;
    vcpu.domain.m2pStrict = (c.vm_assist_hi & 1) !== 0;
    hv.time.updateWallclock(vcpu.domain.sharedInfo, vcpu.domain.timeOffsetSeconds);
  }
  vcpu.initialised = true;
  vcpu.down = (c.flags_lo & VGCF_online) === 0;
  hv.sched.update(vcpu);
  return 0;
}

function check(vcpu: Vcpu, c: Context): number {
  const r = c.user_regs;
  const addresses = [
    canonical(r.rip_lo, r.rip_hi),
    canonical(r.rsp_lo, r.rsp_hi),
    canonical(c.kernel_sp_lo, c.kernel_sp_hi),
    canonical(c.fs_base_lo, c.fs_base_hi),
    canonical(c.gs_base_kernel_lo, c.gs_base_kernel_hi),
    canonical(c.gs_base_user_lo, c.gs_base_user_hi),
    canonical(c.event_callback_eip_lo, c.event_callback_eip_hi),
    canonical(c.failsafe_callback_eip_lo, c.failsafe_callback_eip_hi),
    canonical(c.syscall_callback_eip_lo, c.syscall_callback_eip_hi),
  ];
  if (addresses.includes(-1)) return -XEN_EINVAL;
  for (let i = 0; i < 256; i++) {
    const trap = c.trap_ctxt.get(i);
    if (canonical(trap.address_lo, trap.address_hi) === -1) return -XEN_EINVAL;
  }
  const ldt = canonical(c.ldt_base_lo, c.ldt_base_hi);
  if (ldt === -1 || !addressOk(ldt) || ldt % 4096 !== 0 || c.ldt_ents_num > MAX_LDT_ENTRIES) return -XEN_EINVAL;
  if (c.gdt_ents_num > GDT_FRAMES * 512) return -XEN_EINVAL;
  if (
    vcpu.id === 0 &&
    ((c.vm_assist_lo & ~VM_ASSIST_VALID) !== 0 || c.vm_assist_hi & ~(1 << (VMASST_TYPE_m2p_strict - 32)))
  )
    return -XEN_EINVAL;
  const user = c.ctrlreg.num(1);
  return !vcpu.initialised && !(c.flags_lo & VGCF_in_kernel) && user === 0 ? -XEN_EINVAL : 0;
}

/** A running vcpu's tables can't be changed from outside: they must be given as they are. */
function unchanged(vcpu: Vcpu, c: Context): number {
  const { cpu } = vcpu;
  let same = c.ctrlreg.num(3) === vcpu.guestTable * 4096 && c.ctrlreg.num(1) === vcpu.guestTableUser * 4096;
  if (vcpu.guestTableUser === 0 && !(c.flags_lo & VGCF_in_kernel)) same = false;
  if (c.gdt_ents_num !== cpu.field(CpuLayout.gdtEntries)) same = false;
  for (let i = 0; i < Math.ceil(c.gdt_ents_num / 512); i++)
    if (c.gdt_frames.num(i) !== cpu.field(CpuLayout.gdtFrames + i * 4)) same = false;
  if (c.ldt_ents_num !== cpu.field(CpuLayout.ldtEntries)) same = false;
  return same ? 0 : -XEN_EOPNOTSUPP;
}

function takeTables(hv: Hypervisor, vcpu: Vcpu, c: Context): number {
  const entries = c.gdt_ents_num;
  const frames: number[] = [];
  for (let i = 0; i < Math.ceil(entries / 512); i++) frames.push(c.gdt_frames.num(i));
  const kernel = Math.floor(c.ctrlreg.num(3) / 4096);
  const user = Math.floor(c.ctrlreg.num(1) / 4096);
  const error =
    hv.mm.setGdt(vcpu, frames, entries) ||
    hv.mm.setGuestTable(vcpu, kernel, false) ||
    (user === 0 ? 0 : hv.mm.setGuestTable(vcpu, user, true));
  if (error) {
    hv.mm.releaseVcpu(vcpu);
    return error === -XEN_EOPNOTSUPP ? error : -XEN_EINVAL;
  }
  const ldt = c.ldt_ents_num;
  vcpu.cpu.setField(CpuLayout.ldtEntries, ldt);
  vcpu.cpu.setField(CpuLayout.ldtBase, c.ldt_base_lo);
  vcpu.cpu.setField(CpuLayout.ldtBase + 4, c.ldt_base_hi & 0xffff);
  return 0;
}

function checkSelectors(hv: Hypervisor, vcpu: Vcpu, c: Context): number {
  // The context lies in memory of its own: reading descriptors uses scratch.
  const cs = c.user_regs.cs | 3;
  const ss = c.user_regs.ss | 3;
  return codeSelectorOk(hv, vcpu, cs) && stackSelectorOk(hv, vcpu, ss) ? 0 : -XEN_EINVAL;
}

function loadRegisters(hv: Hypervisor, vcpu: Vcpu, c: Context): void {
  const { cpu } = vcpu;
  const r = c.user_regs;
  for (const [name, reg] of GENERAL) cpu.set(reg, r[`${name}_lo`], r[`${name}_hi`]);
  const flags = r.rflags_lo;
  vcpu.iopl = (flags & Flag.IOPL) >>> 12;
  cpu.set(Reg.RFLAGS, (flags & ~(Flag.IOPL | Flag.VM)) | Flag.IF | 2, 0);
  for (const [name, seg] of SELECTORS) cpu.setSelector(seg, r[name] > 3 ? r[name] | 3 : r[name]);
  cpu.setSelector(Seg.CS, r.cs | 3);
  cpu.setSelector(Seg.SS, r.ss | 3);
  vcpu.kernelMode = (c.flags_lo & VGCF_in_kernel) !== 0;
  cpu.set(Reg.FS_BASE, c.fs_base_lo, c.fs_base_hi);
  setGs(cpu, vcpu.kernelMode ? Reg.GS_BASE : Reg.GS_BASE_OTHER, c.gs_base_kernel_lo, c.gs_base_kernel_hi);
  setGs(cpu, vcpu.kernelMode ? Reg.GS_BASE_OTHER : Reg.GS_BASE, c.gs_base_user_lo, c.gs_base_user_hi);
  hv.mm.loadCr3(vcpu);
  hv.traps.setTs(vcpu, (c.ctrlreg.lo(0) & 8) !== 0);
  if (c.flags_lo & VGCF_i387_valid) {
    const at = cpu.address + CpuLayout.fxsave;
    hv.memory.u8.set(c.fpu_ctxt, at);
    hv.memory.view.setUint32(at + 24, hv.memory.view.getUint32(at + 24, true) & MXCSR_MASK, true);
  }
  for (const reg of [0, 1, 2, 3, 6, 7]) {
    vcpu.debugReg[reg] = 0n;
    writeDebug(vcpu, reg, c.debugreg.get(reg)); // What isn't allowed stays 0, as in Xen.
  }
}

function setGs(cpu: CpuState, reg: number, lo: number, hi: number): void {
  cpu.set(reg, lo, hi);
}

function loadTraps(vcpu: Vcpu, c: Context): void {
  for (let vector = 0; vector < 256; vector++) {
    const trap = c.trap_ctxt.get(vector);
    vcpu.traps.set(vector, trap.flags, trap.cs | 3, canonical(trap.address_lo, trap.address_hi) as Va);
  }
  const callback = (lo: number, hi: number): Va | -1 => ((lo | hi) === 0 ? -1 : canonical(lo, hi));
  vcpu.kernelSs = c.kernel_ss_lo & 0xffff;
  vcpu.kernelSp = canonical(c.kernel_sp_lo, c.kernel_sp_hi);
  vcpu.eventCallback = callback(c.event_callback_eip_lo, c.event_callback_eip_hi);
  vcpu.failsafeCallback = callback(c.failsafe_callback_eip_lo, c.failsafe_callback_eip_hi);
  vcpu.syscallCallback = callback(c.syscall_callback_eip_lo, c.syscall_callback_eip_hi);
  vcpu.failsafeDisablesEvents = (c.flags_lo & VGCF_failsafe_disables_events) !== 0;
  vcpu.syscallDisablesEvents = (c.flags_lo & VGCF_syscall_disables_events) !== 0;
}

/** Fills a zeroed context from the vcpu. */
export function getContext(hv: Hypervisor, vcpu: Vcpu, c: Context): void {
  const { cpu } = vcpu;
  const r = c.user_regs;
  for (const [name, reg] of GENERAL) {
    r[`${name}_lo`] = cpu.lo(reg);
    r[`${name}_hi`] = cpu.hi(reg);
  }
  r.rflags_lo = (cpu.lo(Reg.RFLAGS) | (vcpu.iopl << 12)) >>> 0;
  for (const [name, seg] of SELECTORS) r[name] = cpu.selector(seg);
  if (vcpu.kernelMode && r.cs === FLAT_KERNEL_CS) r.ss = FLAT_KERNEL_SS;
  const at = cpu.address + CpuLayout.fxsave;
  c.fpu_ctxt = hv.memory.u8.slice(at, at + 512);
  c.flags_lo =
    VGCF_i387_valid |
    (vcpu.kernelMode ? VGCF_in_kernel : 0) |
    (vcpu.down ? 0 : VGCF_online) |
    (vcpu.failsafeDisablesEvents ? VGCF_failsafe_disables_events : 0) |
    (vcpu.syscallDisablesEvents ? VGCF_syscall_disables_events : 0);
  fillTables(vcpu, c);
  const big = (va: Va | -1): number => (va === -1 ? 0 : va);
  const put = (
    name: "event_callback_eip" | "failsafe_callback_eip" | "syscall_callback_eip" | "kernel_sp",
    va: Va | -1,
  ) => {
    const full = big(va);
    c[`${name}_lo`] = full >>> 0;
    const hi = Math.floor(full / 4294967296);
    c[`${name}_hi`] = hi & 0x8000 ? (hi | 0xffff0000) >>> 0 : hi;
  };
  put("event_callback_eip", vcpu.eventCallback);
  put("failsafe_callback_eip", vcpu.failsafeCallback);
  put("syscall_callback_eip", vcpu.syscallCallback);
  put("kernel_sp", vcpu.kernelSp);
  c.kernel_ss_lo = vcpu.kernelSs;
  for (let vector = 0; vector < 256; vector++) {
    const trap = c.trap_ctxt.get(vector);
    const address = vcpu.traps.address(vector);
    if (address === 0) continue;
    trap.vector = vector;
    trap.flags = vcpu.traps.flags(vector);
    trap.cs = vcpu.traps.cs(vector);
    trap.address_lo = address >>> 0;
    const hi = Math.floor(address / 4294967296);
    trap.address_hi = hi & 0x8000 ? (hi | 0xffff0000) >>> 0 : hi;
  }
  for (const reg of [0, 1, 2, 3, 6, 7]) c.debugreg.set(reg, readDebug(vcpu, reg) ?? 0n);
}

function fillTables(vcpu: Vcpu, c: Context): void {
  const { cpu } = vcpu;
  const gdt = cpu.field(CpuLayout.gdtEntries);
  c.gdt_ents_num = gdt;
  for (let i = 0; i < Math.ceil(gdt / 512); i++) c.gdt_frames.setNum(i, cpu.field(CpuLayout.gdtFrames + i * 4));
  c.ldt_ents_num = cpu.field(CpuLayout.ldtEntries);
  c.ldt_base_lo = cpu.field(CpuLayout.ldtBase);
  c.ldt_base_hi = cpu.field(CpuLayout.ldtBase + 4);
  c.ctrlreg.setNum(0, 0x80050033 + (vcpu.cr0Ts ? 8 : 0));
  c.ctrlreg.setNum(1, vcpu.guestTableUser * 4096);
  c.ctrlreg.setNum(3, vcpu.guestTable * 4096);
  c.fs_base = cpu.big(Reg.FS_BASE);
  c.gs_base_kernel = cpu.big(vcpu.kernelMode ? Reg.GS_BASE : Reg.GS_BASE_OTHER);
  c.gs_base_user = cpu.big(vcpu.kernelMode ? Reg.GS_BASE_OTHER : Reg.GS_BASE);
  if (vcpu.id === 0) {
    c.vm_assist_lo = vcpu.domain.vmAssist;
    c.vm_assist_hi = vcpu.domain.m2pStrict ? 1 : 0;
  }
}
