// Dom0's kernel: the first domain of every machine, a TypeScript kernel on guests/sdk/. This file starts its threads and ends
// the machine when the console is done. Loaded by whoever makes the machine: the worker of `npm start`, tests.

import { type Kernel, kernelMain, type Task } from "../guests/sdk/index.ts";

function* main(kernel: Kernel): Task {
  yield* kernel.host.tty.write("dom0\n");
  for (;;) {
    const bytes = yield* kernel.host.tty.read();
    if (bytes === undefined) break;
    yield* kernel.host.tty.write(bytes);
  }
  yield* kernel.host.exit(0);
}

export default kernelMain(main);
