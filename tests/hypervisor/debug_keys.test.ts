// Debug keys by sysctl: each part's lines in the log, who may ask, and that no state of a guest makes the answer endless.
import { beforeEach, describe, expect, test } from "vitest";
import type { Hypervisor } from "../../hypervisor/hypervisor.ts";
import { DEBUG_KEY_LINES } from "../../hypervisor/limits.ts";
import { XEN_E2BIG, XEN_EFAULT, XEN_EPERM } from "../../shared/abi/errno.ts";
import { GNTMAP_device_map, GNTST_okay, GTF_permit_access } from "../../shared/abi/grant_table.ts";
import { XEN_SYSCTL_debug_keys, XEN_SYSCTL_INTERFACE_VERSION, XenSysctl } from "../../shared/abi/sysctl.ts";
import { __HYPERVISOR_sysctl, SharedInfo, VIRQ_TIMER } from "../../shared/abi/xen.ts";
import { BareDomain, FLAT } from "../harness/bare.ts";
import { bareMachine } from "../harness/domu.ts";

let hv: Hypervisor;
let dom0: BareDomain;
let guest: BareDomain;

beforeEach(() => {
  hv = bareMachine({ memoryMiB: 32 }).hv;
  dom0 = new BareDomain(hv, 0, { privileged: true });
  guest = new BareDomain(hv, 7, { vcpus: 2 });
});

/** The result, and the log's new lines without their prefix. */
function press(who: BareDomain, keys: string, count = keys.length): { result: number; lines: string[] } {
  const from = hv.log.end;
  const op = XenSysctl.at(who.view);
  op.cmd = XEN_SYSCTL_debug_keys;
  op.interface_version = XEN_SYSCTL_INTERFACE_VERSION;
  op.debug_keys.keys_num = FLAT + 512;
  op.debug_keys.nr_keys = count;
  for (let i = 0; i < keys.length; i++) who.bytes[512 + i] = keys.charCodeAt(i);
  const result = who.call(__HYPERVISOR_sysctl, FLAT);
  const text = hv.log.read(from, hv.log.end - from);
  return {
    result,
    lines: text
      .split("\n")
      .slice(0, -1)
      .map((line) => line.replace("(XEN) ", "")),
  };
}

describe("debug keys", () => {
  test("are listed by h, answered in order, and told when there is none", () => {
    const { result, lines } = press(dom0, "hq!");
    expect(result).toBe(0);
    expect(lines).toContain(" key 'q' => dump domain info");
    expect(lines).toContain("'q' pressed -> dump domain info");
    expect(lines.filter((line) => /^ {2}d7v[01]: /.test(line))).toHaveLength(2);
    expect(lines.at(-1)).toBe("'!': no such debug key; 'h' lists them");
  });

  test("show each domain's ports, and no more of them than the log can take", () => {
    hv.current = guest.vcpu;
    for (let i = 0; i < 100; i++) expect(guest.domain.events.allocUnbound(0)).toBe(i + 1);
    hv.events.setPending(guest.domain, guest.domain.events.at(2)!);
    const { lines } = press(dom0, "e");
    expect(lines).toContain("domain 7: 100 ports in use");
    expect(lines).toContain("     1 [--] unbound for domain 0, vcpu 0");
    expect(lines).toContain("     2 [p-] unbound for domain 0, vcpu 0");
    expect(lines).toContain("  and 37 more");
    expect(lines.length).toBeLessThan(80);
  });

  test("show what each port is bound to, all of them if they are not too many", () => {
    const { events } = guest.domain;
    hv.current = guest.vcpu;
    const offered = dom0.domain.events.allocUnbound(7);
    expect(events.bindInterdomain(dom0.domain, offered)).toBe(1);
    expect([events.bindVirq(VIRQ_TIMER, 0), events.bindIpi(1)]).toEqual([2, 3]);
    hv.memory.u8[guest.domain.sharedInfo * 4096 + SharedInfo.offsets.evtchn_mask] = 1 << 3;
    const { lines } = press(dom0, "e");
    expect(lines).toContain(`     1 [p-] interdomain with domain 0 port ${offered}, vcpu 0`);
    expect(lines).toContain("     2 [--] virq 0, vcpu 0");
    expect(lines).toContain("     3 [-m] ipi, vcpu 1");
    for (let i = 4; i < DEBUG_KEY_LINES; i++) events.allocUnbound(0);
    const all = press(dom0, "e").lines;
    expect(all.some((line) => line.startsWith(`    ${DEBUG_KEY_LINES - 1} [`))).toBe(true);
    expect(all.some((line) => line.endsWith(" more"))).toBe(false);
  });

  test("show the grants in use, and who uses them", () => {
    hv.memory.i32[guest.domain.grants.frames[0] * 1024 + 9 * 2 + 1] = guest.data;
    hv.memory.i32[guest.domain.grants.frames[0] * 1024 + 9 * 2] = GTF_permit_access;
    expect(hv.grants.mappings.map(dom0.vcpu, 7, 9, GNTMAP_device_map, { lo: 0, hi: 0 })).toBe(GNTST_okay);
    guest.domain.grants.grow(4);
    const { lines } = press(dom0, "g");
    expect(lines).toContain("domain 7: 4 of 4 frames, 0 maptrack handles");
    const mfn = guest.data.toString(16);
    expect(lines.filter((line) => line.startsWith("  ref"))).toEqual([
      expect.stringContaining(`ref 9: mfn ${mfn}, used by domain 0, pins `),
    ]);
  });

  test("show timers and the run queue by vcpu", () => {
    hv.time.timers.set(guest.vcpu.singleshotTimer, hv.time.now() + 5000);
    expect(press(dom0, "a").lines.some((line) => /^ {2}d7v0: singleshot in \d+ ns$/.test(line))).toBe(true);
    expect(press(dom0, "r").lines.some((line) => line.startsWith("scheduler bvt"))).toBe(true);
  });

  test("are dom0's, and in its memory", () => {
    expect(press(guest, "h")).toEqual({ result: -XEN_EPERM, lines: [] });
    expect(press(dom0, "h", 513)).toEqual({ result: -XEN_E2BIG, lines: [] });
    expect(press(dom0, "", 0xffffffff)).toEqual({ result: -XEN_E2BIG, lines: [] });
    const op = XenSysctl.at(dom0.view);
    op.debug_keys.keys_num = 0x1000;
    op.debug_keys.nr_keys = 1;
    expect(dom0.call(__HYPERVISOR_sysctl, FLAT)).toBe(-XEN_EFAULT);
  });
});
