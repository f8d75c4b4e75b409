// A creation that fails in the middle is undone wholly: each hypercall by which dom0 makes a domain is made to fail once, one
// by one, and afterwards no frame, port, mapping or xenstore node is left, and the same domain can be made.

import { expect, it } from "vitest";
import { dom0Kernel } from "../../dom0/kernel.ts";
import { XEN_DOMCTL_destroydomain, XEN_DOMCTL_getdomaininfo, XEN_DOMCTL_pausedomain } from "../../shared/abi/domctl.ts";
import { XEN_ENOMEM } from "../../shared/abi/errno.ts";
import { EVTCHNOP_alloc_unbound, EVTCHNOP_bind_interdomain } from "../../shared/abi/event_channel.ts";
import { GNTTABOP_unmap_grant_ref } from "../../shared/abi/grant_table.ts";
import * as X from "../../shared/abi/xen.ts";
import type { DomId, Va } from "../../shared/brand.ts";
import type { KernelCpu, KernelMain } from "../../shared/kernel.ts";
import { Session } from "./session.ts";

/** The hypercalls that may be refused: those that make or map something. Letting go of things never fails. */
function mayFail(cpu: KernelCpu, nr: number, args: readonly number[]): boolean {
  const word = (va: number, index: number): number => {
    const bytes = cpu.view((va + index * 4) as Va, 4, false);
    return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
  };
  switch (nr) {
    case X.__HYPERVISOR_domctl:
      return ![XEN_DOMCTL_destroydomain, XEN_DOMCTL_getdomaininfo, XEN_DOMCTL_pausedomain].includes(word(args[0], 0));
    case X.__HYPERVISOR_mmu_update: // A batch of mappings, not of their removal.
      return word(args[0], 2) !== 0;
    case X.__HYPERVISOR_mmuext_op:
      return word(args[0], 0) === X.MMUEXT_PIN_L4_TABLE;
    case X.__HYPERVISOR_event_channel_op:
      return args[0] === EVTCHNOP_alloc_unbound || args[0] === EVTCHNOP_bind_interdomain;
    case X.__HYPERVISOR_grant_table_op:
      return args[0] !== GNTTABOP_unmap_grant_ref;
    case X.__HYPERVISOR_memory_op:
      return true;
    default:
      return false;
  }
}

it("xl create that fails anywhere leaves nothing behind", () => {
  let countdown = -1;
  let failures = 0;
  const main: KernelMain = (cpu) => {
    const wrapped = Object.create(cpu) as { hypercall: KernelCpu["hypercall"] } & KernelCpu;
    Object.defineProperty(wrapped, "hypercall", {
      value: (nr: number, ...args: number[]) => {
        if (countdown >= 0 && mayFail(cpu, nr, args) && countdown-- === 0) {
          failures++;
          return -XEN_ENOMEM;
        }
        return cpu.hypercall(nr, ...args);
      },
    });
    for (const name of ["view", "entry", "out", "expired", "tsc"] as const) {
      const method = (cpu as unknown as Record<string, (...args: never[]) => unknown>)[name];
      Object.defineProperty(wrapped, name, { value: method.bind(cpu) });
    }
    return dom0Kernel()(wrapped);
  };
  const session = new Session({ main });
  const create = "xl create -q -p guests/hello/hello.cfg";
  const run = (line: string): string => {
    session.type(`${line}\nxl domname 0\n`);
    return session.waitFor("Domain-0\n").slice(0, -"Domain-0\n".length);
  };
  const state = () => {
    const { hv } = session.machine;
    return {
      domains: [...hv.domains.keys()],
      freeFrames: hv.frames.freeFrames,
      ports: hv.domains.get(0 as DomId)!.events.active,
      problems: session.machine.checker(),
      store: run("xenstore-ls -f -p"),
    };
  };
  // Once without failing, so that what stays for good (tables of the mapping window) is there.
  run(create);
  run("xl destroy hello");
  const before = state();
  expect(before.problems).toEqual([]);
  let n = 0;
  for (; ; n++) {
    countdown = n;
    const shown = run(create);
    if (countdown >= 0) break; // It was made without reaching that many calls.
    expect([n, shown.trimEnd().split("\n")]).toEqual([
      n,
      [expect.stringMatching(/ENOMEM|not enough free memory|domain \d+:|grant/)],
    ]);
    expect([n, state()]).toEqual([n, before]);
  }
  countdown = -1;
  expect(n).toBeGreaterThan(15);
  expect(failures).toBe(n);
  run("xl destroy hello");
  expect(state()).toEqual(before);
  expect(session.end()).toBe(1);
});

it.each([
  [
    "a second disk that can't be opened",
    'disk=["good,raw,xvda,w","small,raw,xvdb,w"]',
    "disk xvdb: small: smaller than a sector",
  ],
  ["a disk that is in use", 'disk=["good,raw,xvda,w","good,raw,xvdb,r"]', "disk xvdb: good: already in use by domain"],
  ["an interface of a number that is taken", 'disk=["good,raw,xvda,w"]\nvif=["devid=3","devid=3"]', "vif 3: domain"],
  ["a capture that can't be made", 'vif=["","pcap=folder/x"]', "vif 1: capture folder/x: "],
  [
    "a channel where there are none",
    'disk=["good,raw,xvda,w"]\nvif=[""]\nchannel=["connection=socket,path=/x,name=org.a"]',
    "channel org.a: /x: ",
  ],
  [
    "a weight that the scheduler refuses",
    'disk=["good,raw,xvda,w"]\nvif=[""]\ncpu_weight=0',
    "a.cfg:6:12: cpu_weight is 0",
  ],
])("xl create with %s leaves neither files nor ports nor nodes", (_, more, message) => {
  const all = `disk=["good,raw,xvda,w"]\nvif=[""]`;
  const config = (text: string): string => `name="a"\nkernel="guests/hello/hello.elf"\nmemory=8\n${text}\n`;
  const session = new Session({
    files: [
      "guests/hello/hello.elf",
      ["a.cfg", config(more)],
      ["whole.cfg", config(all)],
      ["good", new Uint8Array(65536)],
      ["small", new Uint8Array(100)],
    ],
  });
  const { host } = session;
  const openNow = host.open.bind(host);
  host.open = (path, mode) => {
    if (path.startsWith("folder/")) throw Object.assign(new Error(), { code: "ENOENT" });
    return openNow(path, mode);
  };
  const run = (line: string): string => {
    session.type(`${line}\nxl domname 0\n`);
    return session.waitFor("Domain-0\n").slice(0, -"Domain-0\n".length);
  };
  const state = () => ({
    frames: session.machine.hv.frames.freeFrames,
    ports: session.machine.hv.domains.get(0 as DomId)!.events.active,
    files: host.openFiles,
    problems: session.machine.checker(),
    store: run("xenstore-ls -f -p"),
  });
  run("xl create -q -p whole.cfg"); // What a first guest with devices leaves for good.
  run("xl destroy a");
  const before = state();
  const shown = run("xl create -q a.cfg").trimEnd().split("\n");
  expect(shown).toEqual([expect.stringContaining(message)]);
  expect(state()).toEqual(before);
  expect(run("xl create -q -p whole.cfg")).toBe("");
  run("xl destroy a");
  expect(state()).toEqual(before);
});
