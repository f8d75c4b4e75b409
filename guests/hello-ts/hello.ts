// hello in TypeScript, the counterpart of guests/hello: who it is by xenstore, what it runs on by a hypercall, three ticks of
// the clock, a page that isn't mapped, and an orderly end when its only thread returns. docs/KERNELS.md explains it.
import { kernelMain, PageFault, sleep, type Va } from "xenolith/sdk";

export default kernelMain(function* (kernel) {
  const { console, store } = kernel;
  console.print(`hello: I am domain ${yield* store.read("domid")}, ${yield* store.read("name")}`);

  const version = kernel.xen.xenVersion(0);
  console.print(`hello: the hypervisor is Xen ${version >> 16}.${version & 0xffff}`);

  for (let tick = 1; tick <= 3; tick++) {
    yield* sleep(100e6);
    console.print(`hello: tick ${tick} at system time ${(kernel.systemTimeNs() / 1e9).toFixed(9)} s`);
  }

  try {
    kernel.cpu.view(0x123456789000 as Va, 1, true);
  } catch (error) {
    if (!(error instanceof PageFault)) throw error;
    console.print(`hello: handled a page fault at 0x${error.va.toString(16)}`);
  }
  console.print("hello: good bye");
});
