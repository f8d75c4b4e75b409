// What both kernels of this folder do first: join the network by the first interface, with the address that the command line has.

import { NetStack, parseIp } from "xenolith/net";
import type { Kernel, Task } from "xenolith/sdk";

/** Words of the form `key=value` on the kernel's command line (`extra=` in its configuration). */
export function option(kernel: Kernel, key: string): string | undefined {
  const words = kernel.startInfo.cmd_line.split(" ");
  return words.find((word) => word.startsWith(`${key}=`))?.slice(key.length + 1);
}

/** The first interface, connected, with the address of `ip=` in a network of 256. */
export function* joinNetwork(kernel: Kernel): Task<NetStack> {
  const stack = yield* NetStack.connect(yield* kernel.device("vif", 0));
  stack.configure(parseIp(option(kernel, "ip") ?? "10.7.0.9"), 0xffffff00);
  return stack;
}
