// Debug keys by sysctl: each part's lines in the log, who may ask, and that no state of a guest makes the answer endless.
import { beforeEach, describe, expect, test } from "vitest";
import type { Hypervisor } from "../../hypervisor/hypervisor.ts";
import { XEN_E2BIG, XEN_EFAULT, XEN_EPERM } from "../../shared/abi/errno.ts";
import { XEN_SYSCTL_debug_keys, XEN_SYSCTL_INTERFACE_VERSION, XenSysctl } from "../../shared/abi/sysctl.ts";
import { __HYPERVISOR_sysctl } from "../../shared/abi/xen.ts";
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
