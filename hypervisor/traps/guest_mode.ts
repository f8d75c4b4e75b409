// A PV guest's two modes. Kernel and user both run at CPL 3; what differs is the level-4 table and which GS base is in
// use. Called on every entry to the guest's kernel (bounce.ts) and every return from it (iret.ts).

import { CpuLayout, Reg } from "../machine/cpu_state.ts";
import type { Vcpu } from "../vcpu.ts";

/** Swaps GS bases and tables. Leaving for user mode needs a user table: the caller has checked. */
export function toggleMode(vcpu: Vcpu): void {
  const cpu = vcpu.cpu;
  const lo = cpu.lo(Reg.GS_BASE);
  const hi = cpu.hi(Reg.GS_BASE);
  cpu.set(Reg.GS_BASE, cpu.lo(Reg.GS_BASE_OTHER), cpu.hi(Reg.GS_BASE_OTHER));
  cpu.set(Reg.GS_BASE_OTHER, lo, hi);
  vcpu.kernelMode = !vcpu.kernelMode;
  cpu.setField(CpuLayout.cr3, vcpu.kernelMode ? vcpu.guestTable : vcpu.guestTableUser);
}

/** Runs `work` while the kernel's table is the current one: for what the hypervisor writes to kernel addresses. */
export function withKernelTable<T>(vcpu: Vcpu, work: () => T): T {
  if (vcpu.kernelMode) return work();
  vcpu.cpu.setField(CpuLayout.cr3, vcpu.guestTable);
  const result = work();
  vcpu.cpu.setField(CpuLayout.cr3, vcpu.guestTableUser);
  return result;
}
