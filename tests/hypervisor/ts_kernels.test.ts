// Script images and the domctl that has a domain run from one: who may, when, and what an image is refused for. The image is
// guest memory: whatever stands in it, the worst that happens is that its own domain crashes.

import { beforeEach, describe, expect, test } from "vitest";
import type { Hypervisor } from "../../hypervisor/hypervisor.ts";
import { type CompileKernel, createMachine, type Machine } from "../../hypervisor/index.ts";
import { Reg } from "../../hypervisor/machine/cpu_state.ts";
import { Exit } from "../../hypervisor/machine/processor.ts";
import { XEN_DOMCTL_INTERFACE_VERSION, XenDomctl } from "../../shared/abi/domctl.ts";
import { XEN_EINVAL, XEN_EOPNOTSUPP, XEN_EPERM, XEN_ESRCH } from "../../shared/abi/errno.ts";
import { __HYPERVISOR_domctl } from "../../shared/abi/xen.ts";
import type { Va } from "../../shared/brand.ts";
import type { KernelCode, KernelCpu, KernelMain } from "../../shared/kernel.ts";
import { encodeScriptImage, MAX_SCRIPT_BYTES, ScriptImage, XEN_DOMCTL_script } from "../../shared/script_image.ts";
import { BareDomain, FLAT } from "../harness/bare.ts";

let machine: Machine;
let hv: Hypervisor;
let dom0: BareDomain;
let guest: BareDomain;
let compiled: { text: string; name: string }[];
let main: KernelMain;

function boot(compileKernel: CompileKernel | undefined): void {
  machine = createMachine({ memory: { mib: 32 }, clock: "virtual", compileKernel });
  hv = machine.hv;
  dom0 = new BareDomain(hv, 0, { privileged: true });
  guest = new BareDomain(hv, 1);
  guest.vcpu.initialised = false;
  hv.current = dom0.vcpu;
}

beforeEach(() => {
  compiled = [];
  main = function* (): KernelCode {
    for (;;) yield;
  };
  boot((text, name) => {
    compiled.push({ text, name });
    return main;
  });
});

/** XEN_DOMCTL_script of `domid`, called by `by`. */
function script(domid: number, by = dom0): number {
  hv.current = by.vcpu;
  const op = XenDomctl.at(hv.memory.view, by.data * 4096);
  op.cmd = XEN_DOMCTL_script;
  op.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
  op.domain = domid;
  return by.call(__HYPERVISOR_domctl, FLAT);
}

/** Puts an image at the beginning of the guest's memory, and lets the guest run a slice from there. */
function enter(image: Uint8Array, at = FLAT): Exit {
  expect(script(1)).toBe(0);
  hv.memory.u8.set(image, guest.data * 4096 + (at - FLAT));
  guest.vcpu.cpu.setVa(Reg.RIP, at as Va);
  hv.current = guest.vcpu;
  return guest.domain.processor.run(guest.vcpu.cpu, 1_000_000);
}

const text = (source: string): Uint8Array => new TextEncoder().encode(source);
const log = (): string => machine.log.read(0, Number.MAX_SAFE_INTEGER);

describe("XEN_DOMCTL_script", () => {
  test("is dom0's, for another domain of one vcpu that hasn't run", () => {
    expect(script(1, guest)).toBe(-XEN_EPERM);
    expect(script(0)).toBe(-XEN_EINVAL);
    expect(script(7)).toBe(-XEN_ESRCH);
    const two = new BareDomain(hv, 2, { vcpus: 2 });
    for (const vcpu of two.domain.vcpus) vcpu.initialised = false;
    expect(script(2)).toBe(-XEN_EINVAL);
    new BareDomain(hv, 3);
    expect(script(3)).toBe(-XEN_EINVAL);
    expect(hv.domains.get(guest.domain.id)?.processor).toBe(hv.x86);
    expect(script(1)).toBe(0);
    expect(guest.domain.processor).not.toBe(hv.x86);
  });

  test("is refused by a machine that runs no such kernels", () => {
    boot(undefined);
    expect(script(1)).toBe(-XEN_EOPNOTSUPP);
    expect(guest.domain.processor).toBe(hv.x86);
  });
});

describe("a script image", () => {
  test("is read from the domain's memory, across its frames, and entered", () => {
    const source = `${"x".repeat(10_000)}, ünïcode`;
    let cpu: KernelCpu | undefined;
    main = function* (given): KernelCode {
      cpu = given;
      yield;
    };
    expect(enter(encodeScriptImage("a name", text(source)))).toBe(Exit.Interrupted);
    expect(compiled).toEqual([{ text: source, name: "a name" }]);
    expect(guest.domain.processor.retired).toBeGreaterThan(10_000);
    guest.domain.processor.run(guest.vcpu.cpu, 1_000_000);
    expect(cpu?.base).toBe(FLAT);
    expect(guest.domain.isShutDown).toBe(false);
  });

  test("may be as long as the limits", () => {
    const name = "n".repeat(4096);
    expect(enter(encodeScriptImage(name, text("")))).toBe(Exit.Interrupted);
    expect(compiled).toEqual([{ text: "", name }]);
    boot(() => main);
    enter(changed((h) => (h.text_bytes = MAX_SCRIPT_BYTES))); // More than this guest's memory, which is found out later.
    expect(log()).toMatch(/crashed: PageFault: page fault: read of 0x40080000$/m);
  });

  test("of which reading takes longer than the slice counts for the whole slice", () => {
    expect(script(1)).toBe(0);
    hv.memory.u8.set(encodeScriptImage("k", text("y".repeat(5000))), guest.data * 4096);
    guest.vcpu.cpu.setVa(Reg.RIP, FLAT as Va);
    hv.current = guest.vcpu;
    expect(guest.domain.processor.run(guest.vcpu.cpu, 1000)).toBe(Exit.Budget);
    expect(guest.domain.processor.retired).toBe(1000);
  });

  const changed = (change: (header: ReturnType<typeof ScriptImage.at>) => void): Uint8Array => {
    const image = encodeScriptImage("name", text("text"));
    change(ScriptImage.at(new DataView(image.buffer)));
    return image;
  };
  const bad: [string, Uint8Array, RegExp][] = [
    [
      "without its magic",
      changed((h) => (h.magic = "something else")),
      /crashed: Error: no script image at 0x40000000$/m,
    ],
    [
      "with a text that is too long",
      changed((h) => (h.text_bytes = MAX_SCRIPT_BYTES + 1)),
      /crashed: Error: the script image is too large$/m,
    ],
    [
      "with a name that is too long",
      changed((h) => (h.name_bytes = 4097)),
      /crashed: Error: the script image is too large$/m,
    ],
    [
      "that goes on where no memory is",
      changed((h) => (h.text_bytes = 1024 * 1024)),
      /crashed: PageFault: page fault: read of 0x40080000$/m,
    ],
  ];
  test.each(bad)("%s crashes its domain", (_, image, reason) => {
    enter(image);
    expect(log()).toMatch(reason);
    expect(guest.domain.isShutDown).toBe(true);
    expect(compiled).toEqual([]);
  });

  test("entered where there is no memory, or nowhere, crashes its domain", () => {
    expect(script(1)).toBe(0);
    guest.vcpu.cpu.setVa(Reg.RIP, 0x1000 as Va);
    hv.current = guest.vcpu;
    guest.domain.processor.run(guest.vcpu.cpu, 1000);
    expect(log()).toMatch(/crashed: PageFault: page fault: read of 0x1000$/m);
    boot(() => main);
    expect(script(1)).toBe(0);
    guest.vcpu.cpu.set(Reg.RIP, 0, 0x8000);
    hv.current = guest.vcpu;
    guest.domain.processor.run(guest.vcpu.cpu, 1000);
    expect(log()).toMatch(/crashed: Error: RIP is not canonical$/m);
  });

  test("whose text throws or is no kernel crashes its domain", () => {
    boot(() => {
      throw new SyntaxError("of the text");
    });
    enter(encodeScriptImage("k", text("")));
    expect(log()).toMatch(/crashed: SyntaxError: of the text$/m);
    boot(() => 7 as unknown as KernelMain);
    enter(encodeScriptImage("k", text("")));
    expect(log()).toMatch(/crashed: Error: k has no kernel as its default export$/m);
    boot(() => (() => 7) as unknown as KernelMain);
    enter(encodeScriptImage("k", text("")));
    guest.domain.processor.run(guest.vcpu.cpu, 1000);
    expect(log()).toMatch(/crashed: TypeError: /m);
  });

  test("that has crashed is not told of twice, and says no more than some lines", () => {
    boot(() => {
      throw Object.assign(new Error("long"), { stack: Array.from({ length: 500 }, (_, i) => `line ${i}`).join("\n") });
    });
    enter(encodeScriptImage("k", text("")));
    guest.domain.processor.run(guest.vcpu.cpu, 1000);
    expect(log().match(/crashed:/g)).toHaveLength(1);
    expect(log().match(/d1 line/g)).toHaveLength(12);
  });
});
