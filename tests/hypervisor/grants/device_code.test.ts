// A device writes into a guest's page by a grant (GNTMAP_device_map), without telling anybody: what the guest executes from there
// afterwards is what was written, as on a machine whose caches are coherent with DMA.
import { beforeEach, describe, expect, it } from "vitest";
import type { Hypervisor } from "../../../hypervisor/hypervisor.ts";
import { createVcpu } from "../../../hypervisor/lifecycle.ts";
import { CpuLayout, canonical, Reg } from "../../../hypervisor/machine/cpu_state.ts";
import { Access } from "../../../hypervisor/machine/walk.ts";
import type { Vcpu } from "../../../hypervisor/vcpu.ts";
import { GNTMAP_device_map, GNTMAP_readonly, GNTST_okay, GTF_permit_access } from "../../../shared/abi/grant_table.ts";
import type { DomId, Mfn, Va } from "../../../shared/brand.ts";
import { DomuMachine } from "../../harness/domu.ts";

const REF = 9;
const NOWHERE = { lo: 0, hi: 0 };
/** mov eax, 0x5eed; 1: jmp 1b */
const OTHER = [0xb8, 0xed, 0x5e, 0, 0, 0xeb, 0xfe];

let guest: DomuMachine;
let hv: Hypervisor;
let driver: Vcpu;
let code: Mfn;

/** The guest spins in its page; its neighbour, who may map that page, is the driver. */
beforeEach(() => {
  guest = new DomuMachine("tests/guests/spin/spin.elf");
  hv = guest.machine.hv;
  run();
  const { cpu } = guest.domain.vcpus[0] as Vcpu;
  code = hv.walker.walk(
    cpu.field(CpuLayout.cr3) as Mfn,
    canonical(cpu.lo(Reg.RIP), cpu.hi(Reg.RIP)) as Va,
    Access.READ,
  ) as Mfn;
  guest.domain.grants.grow(1);
  const entry = (guest.domain.grants.frames[0] * 4096 + REF * 8) / 4;
  hv.memory.i32[entry + 1] = code;
  hv.memory.i32[entry] = GTF_permit_access;
  driver = createVcpu(hv, hv.find(0 as DomId)!) as Vcpu;
});

function run(): void {
  for (let i = 0; i < 5; i++) guest.machine.step();
}

function executesOther(): boolean {
  return (guest.domain.vcpus[0] as Vcpu).cpu.num(Reg.RAX) === 0x5eed;
}

function map(flags = 0): void {
  expect(hv.grants.mappings.map(driver, 1, REF, GNTMAP_device_map | flags, NOWHERE)).toBe(GNTST_okay);
}

function unmap(): void {
  const address = { lo: (code * 4096) >>> 0, hi: 0 };
  expect(hv.grants.mappings.unmap(driver, hv.grants.mappings.handle, NOWHERE, address, NOWHERE)).toBe(GNTST_okay);
}

/** What the host does when dom0 reads a disk: other code from where the guest is. */
function write(): void {
  const offset = (guest.domain.vcpus[0] as Vcpu).cpu.lo(Reg.RIP) & 4095;
  hv.memory.frame(code).set(OTHER, offset);
}

describe("a guest that executes code from a page that a device writes", () => {
  it("executes what was written, for as long as the page stays mapped for the device", () => {
    map();
    run();
    expect(executesOther()).toBe(false);
    write();
    run();
    expect(executesOther()).toBe(true);
  });

  it("executes what was written before the mapping ended", () => {
    map();
    write();
    unmap();
    run();
    expect(executesOther()).toBe(true);
  });

  it.each([0, 5])(
    "keeps what was decoded when no device has the page any more, after %i slices in which one had",
    (slices) => {
      map();
      for (let i = 0; i < slices; i++) guest.machine.step();
      unmap();
      run();
      write();
      run();
      expect(executesOther()).toBe(false);
    },
  );

  it("keeps what was decoded while a device only reads the page, and afterwards", () => {
    map(GNTMAP_readonly);
    run();
    unmap();
    map(GNTMAP_readonly);
    run();
    write();
    run();
    expect(executesOther()).toBe(false);
  });
});
