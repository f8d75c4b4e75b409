// Traces as text: commands and errors by name, what is off stays silent.
import { expect, test } from "vitest";
import { formatTrace } from "../../hypervisor/index.ts";
import {
  __HYPERVISOR_domctl,
  __HYPERVISOR_event_channel_op,
  __HYPERVISOR_memory_op,
  __HYPERVISOR_set_timer_op,
  __HYPERVISOR_sysctl,
  __HYPERVISOR_xen_version,
} from "../../shared/abi/xen.ts";
import { BareDomain, FLAT } from "../harness/bare.ts";
import { bareMachine } from "../harness/domu.ts";

test("a line for each hypercall, with the command, the arguments in hexadecimal, and the error's name", () => {
  const machine = bareMachine({ memoryMiB: 32 });
  const a = new BareDomain(machine.hv, 1);
  const lines: string[] = [];
  formatTrace(machine, (line) => lines.push(line.replace(/^\S+ /, "")));
  a.call(__HYPERVISOR_xen_version, 0);
  expect(lines).toEqual([]);
  machine.trace.hypercalls = true;
  a.call(__HYPERVISOR_xen_version, 0);
  a.call(__HYPERVISOR_event_channel_op, 4, 0x10);
  a.call(__HYPERVISOR_memory_op, 2);
  a.view.setUint32(0, 5, true);
  a.call(__HYPERVISOR_domctl, FLAT);
  a.view.setUint32(0, 1, true);
  a.call(__HYPERVISOR_domctl, FLAT);
  a.view.setUint32(0, 3, true);
  a.call(__HYPERVISOR_sysctl, FLAT);
  a.call(__HYPERVISOR_set_timer_op, 0);
  a.call(11);
  expect(lines).toEqual([
    "d1v0 hypercall xen_version(version, 0x0) = 262161",
    "d1v0 hypercall event_channel_op(send, 0x10) = -14 EFAULT",
    `d1v0 hypercall memory_op(maximum_ram_page, 0x0) = ${machine.hv.frames.totalFrames}`,
    "d1v0 hypercall domctl(getdomaininfo at 0x40000000) = -13 EACCES",
    "d1v0 hypercall domctl(createdomain at 0x40000000) = -13 EACCES",
    "d1v0 hypercall sysctl(physinfo at 0x40000000) = -13 EACCES",
    "d1v0 hypercall set_timer_op(0x0) = 0",
    "d1v0 hypercall ?() = -38 ENOSYS",
  ]);
});
