// HYPERVISOR_console_io (public/xen.h): Xen's own console. Dom0 writes to it as it is; a domU, where the machine allows it,
// line by line with its name in front (Debian's Xen refuses: -EPERM). Nothing is ever typed there.

import { XEN_E2BIG, XEN_EFAULT, XEN_ENOSYS, XEN_EPERM } from "../../shared/abi/errno.ts";
import { CONSOLEIO_read, CONSOLEIO_write } from "../../shared/abi/xen.ts";
import type { Va } from "../../shared/brand.ts";
import type { Hypervisor } from "../hypervisor.ts";
import { CONSOLE_CHUNK_BYTES, CONSOLE_LINE_CHARS } from "../limits.ts";
import type { Vcpu } from "../vcpu.ts";
import { type Args, CONTINUE, type Handler } from "./args.ts";

/** Cost of a byte on the virtual clock, ns. */
const BYTE_NS = 2;

/** (command, count, buffer) */
export const consoleIo: Handler = (hv, vcpu, a) => {
  const cmd = a.u32(0);
  const permitted = vcpu.domain.privileged || (hv.guestConsoleIo && cmd === CONSOLEIO_write);
  if (!permitted) return -XEN_EPERM;
  if (cmd === CONSOLEIO_write) return write(hv, vcpu, a);
  // Nobody types on Xen's own console: the terminal is a device of dom0's.
  if (cmd === CONSOLEIO_read) return a.u32(1) > 0x7fffffff ? -XEN_E2BIG : 0;
  return -XEN_ENOSYS;
};

function write(hv: Hypervisor, vcpu: Vcpu, a: Args): number {
  let count = a.u32(1);
  let va = a.va(2);
  while (count > 0) {
    const size = Math.min(count, CONSOLE_CHUNK_BYTES);
    if (va === -1 || !hv.access.read(vcpu, va, hv.scratchBytes, 0, size)) return -XEN_EFAULT;
    if (vcpu.domain.privileged) hv.log.raw(latin1(hv.scratchBytes, size));
    else guestWrite(hv, vcpu, size);
    hv.charge(size * BYTE_NS);
    count -= size;
    va = (va + size) as Va;
    if (count > 0 && hv.preemptCheck()) {
      a.setNum(1, count);
      a.setVa(2, va);
      return CONTINUE;
    }
  }
  return 0;
}

function latin1(bytes: Uint8Array, size: number): string {
  let s = "";
  for (let i = 0; i < size; i++) s += String.fromCharCode(bytes[i]);
  return s;
}

/** Collects printable characters into lines; a line that gets too long is broken. */
function guestWrite(hv: Hypervisor, vcpu: Vcpu, size: number): void {
  const domain = vcpu.domain;
  for (let i = 0; i < size; i++) {
    const c = hv.scratchBytes[i];
    if (c === 0x0a || domain.consoleLine.length >= CONSOLE_LINE_CHARS) {
      hv.log.line(`(d${domain.id}) ${domain.consoleLine}`);
      domain.consoleLine = "";
    }
    if ((c >= 0x20 && c < 0x7f) || c === 0x09) domain.consoleLine += String.fromCharCode(c);
  }
}
