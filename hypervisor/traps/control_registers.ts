// Control and debug registers as a PV kernel sees them by emulated `mov` (and debug registers by hypercall). CR0: only TS
// can change. CR2: the last fault's address. CR3: the kernel's level-4 table, in the folded form of public/arch-x86/
// xen-x86_64.h. CR4: fixed. Debug registers hold values; breakpoints are
// not carried out, so a DR7 that would enable one is refused.

import { XEN_EINVAL, XEN_ENODEV, XEN_EPERM } from "../../shared/abi/errno.ts";
import { VcpuInfo } from "../../shared/abi/xen.ts";
import { pause } from "../hypercalls/batch.ts";
import type { Hypervisor } from "../hypervisor.ts";
import { canonical } from "../machine/cpu_state.ts";
import { addressOk } from "../memory/guest_access.ts";
import type { Vcpu } from "../vcpu.ts";

/** PE, MP, ET, NE, WP, AM, PG: what Xen itself runs with. */
const CR0 = 0x80050033;
const CR0_TS = 8;
/** PAE, MCE, OSFXSR, OSXMMEXCPT. */
const CR4_FIXED = 0x660n;

const DR6_ONE = 0xffff0ff0n;
const DR6_ZERO = 0x1000n;
const DR7_ONE = 0x400n;
const DR7_ZERO = 0xd800n;
const DR7_GENERAL_DETECT = 0x2000n;
const DR7_ENABLES = 0xffn;

/** mov from CRn; undefined: #GP. */
export function readControl(hv: Hypervisor, vcpu: Vcpu, reg: number): bigint | undefined {
  switch (reg) {
    case 0:
      return BigInt(CR0 + (vcpu.cr0Ts ? CR0_TS : 0));
    case 2:
      return hv.memory.view.getBigUint64(vcpu.vcpuInfo + VcpuInfo.offsets.arch, true);
    case 3: {
      // Frame numbers below 2^52 lie at bits 12 and up, as in a processor's CR3.
      return BigInt(vcpu.guestTable) << 12n;
    }
    case 4:
      return CR4_FIXED;
    default:
      return undefined;
  }
}

/** mov to CRn; false: #GP; undefined: not done yet, to be executed again after others had their chance to run. */
export function writeControl(hv: Hypervisor, vcpu: Vcpu, reg: number, value: bigint): boolean | undefined {
  switch (reg) {
    case 0:
      if ((value & ~BigInt(CR0_TS)) !== BigInt(CR0)) return false;
      hv.traps.setTs(vcpu, (value & BigInt(CR0_TS)) !== 0n);
      return true;
    case 2:
      hv.memory.view.setBigUint64(vcpu.vcpuInfo + VcpuInfo.offsets.arch, value, true);
      return true;
    case 3: {
      const mfn = Number(value >> 12n);
      const load = (): boolean => hv.mm.setGuestTable(vcpu, mfn, false) === 0;
      const { memory } = vcpu.domain;
      const loaded = hv.mm.inPieces(memory, [mfn], () => pause(hv), load);
      // Executed again it finds itself done, and goes on with undoing the old table.
      return loaded && memory.deferred.length > 0 ? undefined : loaded;
    }
    case 4:
      return true; // Bits that the guest may not change are ignored, as in Xen; the rest don't exist here.
    default:
      return false;
  }
}

/** mov from DRn, and get_debugreg; undefined: no such register. DR4 and DR5 are DR6 and DR7 (CR4.DE is clear). */
export function readDebug(vcpu: Vcpu, reg: number): bigint | undefined {
  if (reg > 7) return undefined;
  const index = reg === 4 || reg === 5 ? reg + 2 : reg;
  return vcpu.debugReg[index] | (index === 6 ? DR6_ONE : index === 7 ? DR7_ONE : 0n);
}

/** mov to DRn, and set_debugreg: 0 or a negative errno. */
export function writeDebug(vcpu: Vcpu, reg: number, value: bigint): number {
  if (reg <= 3) {
    const va = canonical(Number(value & 0xffffffffn), Number(value >> 32n));
    if (va === -1 || !addressOk(va)) return -XEN_EPERM;
    vcpu.debugReg[reg] = value;
    return 0;
  }
  if (reg > 7) return -XEN_ENODEV;
  if (value >> 32n !== 0n) return -XEN_EINVAL;
  if (reg === 4 || reg === 6) {
    vcpu.debugReg[6] = (value & ~DR6_ZERO) | DR6_ONE;
    return 0;
  }
  if (value & DR7_GENERAL_DETECT) return -XEN_EPERM;
  if (value & DR7_ENABLES) return -XEN_EPERM; // No breakpoints on this processor.
  vcpu.debugReg[7] = (value & ~DR7_ZERO) | DR7_ONE;
  return 0;
}
