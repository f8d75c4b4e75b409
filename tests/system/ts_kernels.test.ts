// Kernels in TypeScript as domUs, by xl on a whole machine: boot, console, life cycle, mistakes, crashes, and that nothing is
// left of them, in the machine or in JavaScript's heap.

import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import type { DomId } from "../../shared/brand.ts";
import { Session, script } from "./session.ts";

const HELLO = ["guests/hello-ts/hello.cfg", "guests/hello-ts/hello.ts"];

type File = readonly [path: string, content: string | Uint8Array];

/** A kernel and its configuration as files: its source is the body of the first thread, after `head`. */
function kernel(name: string, body: string, { head = "", extra = "" } = {}): File[] {
  const source = `
    import { kernelMain, PageFault, sleep, type Task, type Va, XenError } from "xenolith/sdk";
    ${head}
    export default kernelMain(function* (kernel) {
      ${body}
    });
  `;
  return module(name, source, extra);
}

function module(name: string, source: string, extra = ""): File[] {
  const cfg = `name = "${name}"\nkernel = "k/${name}.ts"\nmemory = 8\n${extra}\n`;
  return [
    [`k/${name}.cfg`, cfg],
    [`k/${name}.ts`, source],
  ];
}

const ECHO = kernel(
  "echo",
  `kernel.spawn("shutdown", kernel.obeyShutdown());
   kernel.console.print("ready");
   for (;;) kernel.console.print(\`echo: \${yield* kernel.console.readLine()}\`);`,
);

describe("hello in TypeScript", () => {
  it("boots, prints, powers off, and nothing is left of it", () => {
    const { status, output, session } = script(
      ["xl info free_memory", "xl create -c guests/hello-ts/hello.cfg", "xl list", "xl info free_memory"],
      { files: HELLO },
    );
    const lines = output.trimEnd().split("\n");
    expect(lines.slice(1, 9)).toEqual([
      "Parsing config from guests/hello-ts/hello.cfg",
      "hello: I am domain 1, hello-ts",
      "hello: the hypervisor is Xen 4.17",
      ...[1, 2, 3].map((n) => expect.stringMatching(`^hello: tick ${n} at system time \\d+\\.\\d{9} s$`)),
      "hello: handled a page fault at 0x123456789000",
      "hello: good bye",
    ]);
    expect(output).toMatch(/Time\(s\)\nDomain-0 +0 +16 +1 +r----- +\d+\.\d\n/);
    expect(lines.at(-1)).toBe(lines[0]);
    expect(status).toBe(0);
    expect(session.machine.checker()).toEqual([]);
    expect(session.logs.get("xl-hello-ts.log")).toContain("Action for shutdown reason code 0 is destroy");
  });

  it("gives the same run byte for byte on the virtual clock", () => {
    const run = () => script(["xl create -c guests/hello-ts/hello.cfg", "xl list -v"], { files: HELLO });
    const [first, second] = [run(), run()];
    expect(first.output).toBe(second.output);
    expect(first.session.log).toBe(second.session.log);
  });
});

it.each(["README.md", "docs/KERNELS.md"])("the first kernel that %s shows does what it says", (page) => {
  const shown = /(?:^ {4}.*\n|^\n)+/gm;
  const blocks = readFileSync(page, "utf8")
    .match(shown)
    ?.map((block) => block.replaceAll(/^ {4}/gm, ""));
  const source = blocks?.find((block) => block.includes("kernelMain(")) ?? "";
  const { status, output } = script(["xl create -q -c first.cfg"], {
    files: [
      ["first.cfg", 'name = "first"\nkernel = "first.ts"\nmemory = 8\n'],
      ["first.ts", source],
    ],
  });
  expect({ status, output }).toEqual({ status: 0, output: "domain 1 is up\ngood bye\n" });
});

describe("a TypeScript kernel is a domain like any other", () => {
  it("talks by its console, is listed, paused, and shut down when asked", () => {
    const { status, output } = script(
      [
        "xl create -q k/echo.cfg",
        "xl console echo --expect ready --send 'hello there' --expect 'echo: hello there'",
        "xl pause echo",
        "xl list echo",
        "xl unpause echo",
        "xl console echo --send again --expect 'echo: again'",
        "xenstore-read /local/domain/1/name",
        "xl shutdown -w echo",
        "xl list",
      ],
      { files: ECHO },
    );
    expect(output).toContain("echo: hello there\n");
    expect(output).toMatch(/^echo +1 +8 +1 +-bp--- +\d+\.\d$/m);
    expect(output).toContain("echo: again\necho\n");
    expect(output).toContain("Domain 1 has been shut down, reason code 0\n");
    expect(output.trimEnd().split("\n").at(-1)).toMatch(/^Domain-0/);
    expect(status).toBe(0);
  });

  it("is made again, of its source as it is then, when it is asked to reboot", () => {
    const { output } = script(["xl create -q -c k/again.cfg"], {
      files: kernel(
        "again",
        `kernel.spawn("shutdown", kernel.obeyShutdown());
         const id = Number(yield* kernel.store.read("domid"));
         kernel.console.print(\`run \${id}\`);
         yield* kernel.store.write("control/shutdown", id < 3 ? "reboot" : "poweroff");
         yield* sleep(1e12);`,
      ),
    });
    expect(output).toBe("run 1\nrun 2\nrun 3\n");
  });

  it("prints far more than its ring holds", () => {
    const { output } = script(["xl create -c k/flood.cfg"], {
      files: kernel("flood", `for (let i = 0; i < 400; i++) kernel.console.print(i + " " + "x".repeat(60));`),
    });
    for (const i of [0, 1, 200, 399]) expect(output).toContain(`\n${i} ${"x".repeat(60)}\n`);
  });

  it("has xenstore: reads, writes, watches, transactions, and errors by name", () => {
    const { output } = script(["xl create -c k/store.cfg"], {
      files: kernel(
        "store",
        `const { store, console } = kernel;
         yield* store.write("data/a", "1");
         const watch = yield* store.watch("data");
         console.print(\`first \${yield* watch.next()}\`);
         yield* store.transaction(function* (t) {
           yield* t.write("data/b", "zwölf");
           yield* t.remove("data/a");
         });
         console.print(\`then \${yield* watch.next()} \${yield* watch.next()}\`);
         yield* watch.close();
         console.print(\`b is \${yield* store.read("data/b")}, a is \${yield* store.read("data/a")}\`);
         console.print(\`data has \${yield* store.directory("data")}\`);
         try { yield* store.write("/local/domain/0/name", "me"); } catch (error) { console.print(String(error)); }
         try {
           yield* store.transaction(function* (t) {
             yield* t.write("data/b", "never");
             throw new Error("undone");
           });
         } catch (error) { console.print(\`\${error}, b is \${yield* store.read("data/b")}\`); }
         `,
      ),
    });
    expect(output).toContain("first data\nthen data/b data/a\nb is zwölf, a is undefined\ndata has b\n");
    expect(output).toContain("StoreError: xenstore write of /local/domain/0/name: EACCES\n");
    expect(output).toContain("Error: undone, b is zwölf\n");
  });

  it("is alone with what it may do: no domctl, no foreign frames, no devices", () => {
    const { output } = script(["xl create -c k/rights.cfg"], {
      files: kernel(
        "rights",
        `const refused = (what: string, body: () => unknown): void => {
           try { body(); kernel.console.print(what + " went through"); }
           catch (error) { kernel.console.print(what + ": " + (error as Error).message); }
         };
         refused("domctl", () => kernel.xen.domctl(2000, 0 as never));
         refused("foreign", () => kernel.mapForeign(0 as never, [20000 as never], false));
         refused("devices", () => kernel.mapForeign(0x7ff1 as never, [2 as never], false));
         refused("doorbell", () => kernel.cpu.out(0x500, 0));
         refused("host", () => kernel.host);`,
      ),
    });
    expect(output).toContain("domctl: domctl 2000: EPERM\n");
    expect(output).toMatch(/^foreign: mapping 1 frames of domain 0: E\w+$/m);
    expect(output).toMatch(/^devices: mapping 1 frames of domain \d+: E\w+$/m);
    expect(output).toContain("doorbell: general protection fault: out to port 0x500\n");
    expect(output).toContain("host: only dom0 has the machine's devices\n");
  });

  it("has a disk: what it writes is in the file, what it reads was there, and the end of the disk is an error", () => {
    const image = new Uint8Array(64 * 512).fill(7);
    const { output, session } = script(["xl create -c k/disk.cfg", "xl list"], {
      files: [
        ...kernel(
          "disk",
          `const disk = yield* BlockFront.connect(yield* kernel.device("vbd", 51712));
           const buffer = disk.buffer(2);
           yield* disk.read(8, buffer, 0, 4096);
           kernel.console.print(\`\${disk.sectors} sectors, \${buffer.pages.bytes[4095]} is there\`);
           buffer.pages.bytes.fill(9);
           yield* disk.write(1, buffer, 0, 8192);
           yield* disk.flush();
           try { yield* disk.read(60, buffer, 0, 8192); } catch (error) { kernel.console.print((error as Error).name); }
           try { yield* kernel.device("vbd", 51728); } catch (error) { kernel.console.print(String(error)); }
           yield* disk.close();`,
          {
            head: 'import { BlockFront } from "xenolith/sdk";',
            extra: 'disk = [ "k/disk.img,raw,xvda,w" ]',
          },
        ),
        ["k/disk.img", image],
      ],
    });
    expect(output).toContain("64 sectors, 7 is there\nBlockError\nError: this domain has no vbd 51728\n");
    expect(image.indexOf(9)).toBe(512);
    expect(image.lastIndexOf(9)).toBe(512 + 8191);
    expect([...session.machine.domains.keys()]).toEqual([0]);
    expect(session.machine.checker()).toEqual([]);
  });

  it("has its share of the processor by its weight", () => {
    const work = `kernel.console.print("up"); for (;;) yield* yieldNow();`;
    const head = 'import { yieldNow } from "xenolith/sdk";';
    const { output } = script(
      [
        "xl create -q k/light.cfg",
        "xl create -q k/heavy.cfg",
        "xl create -q -c k/clock.cfg",
        "xl list",
        "xl destroy light",
        "xl destroy heavy",
      ],
      {
        files: [
          ...kernel("light", work, { head, extra: "cpu_weight = 256" }),
          ...kernel("heavy", work, { head, extra: "cpu_weight = 512" }),
          ...kernel("clock", "yield* sleep(3e9);"),
        ],
      },
    );
    const [light, heavy] = ["light", "heavy"].map((name) =>
      Number(new RegExp(`^${name} .* (\\d+\\.\\d)$`, "m").exec(output)?.[1]),
    );
    expect(light + heavy).toBeGreaterThan(2.5);
    expect(heavy / light).toBeGreaterThan(1.7);
    expect(heavy / light).toBeLessThan(2.3);
  });

  it("gets a ramdisk and a command line", () => {
    const { output } = script(["xl create -c k/disk.cfg"], {
      files: [
        ...kernel(
          "disk",
          `const { mod_start_num: at, mod_len_num: size, cmd_line: line } = kernel.startInfo;
           kernel.console.print(\`\${line}: \${new TextDecoder().decode(kernel.cpu.view(at as Va, size, false).slice())}\`);`,
          { extra: 'ramdisk = "k/rd"\nextra = "quiet"' },
        ),
        ["k/rd", "what is in it"],
      ],
    });
    expect(output).toContain("quiet: what is in it\n");
  });
});

describe("a mistake in a kernel is one line of xl create", () => {
  const cases: [string, File[], string][] = [
    [
      "syntax",
      module("bad", "export default function* ( {"),
      "line 1, column 29: Expected identifier but found end of file",
    ],
    ["a missing import", module("bad", 'import "./no.ts";'), 'line 1, column 8: Could not resolve "./no.ts"'],
    [
      "Node",
      module("bad", 'import "node:fs";'),
      `line 1, column 8: can't import "node:fs": a kernel has no Node below it`,
    ],
    ["two vcpus", module("bad", "", "vcpus = 2"), "a kernel in TypeScript has one vcpu, not 2"],
  ];
  it.each(cases)("%s", (_, files, message) => {
    const { status, output, session } = script(["xl create -q k/bad.cfg", "xl list"], { files });
    expect(output.split("\n")[0]).toBe(`kernel k/bad.ts: ${message}`);
    expect(output).not.toContain("bad  ");
    expect(status).toBe(1);
    expect([...session.machine.domains.keys()]).toEqual([0]);
  });

  it("a machine that was told so refuses them", () => {
    const { output } = script(["xl create -q k/echo.cfg"], { files: ECHO, typescriptKernels: false });
    expect(output).toBe("kernel k/echo.ts: this machine was started with --no-typescript-kernels\n");
  });
});

describe("a kernel that fails crashes its domain, and xl dmesg says why", () => {
  const cases: [string, File[], RegExp][] = [
    ["throws when it is loaded", module("bad", 'throw new Error("at the top");'), /crashed: Error: at the top$/m],
    [
      "has no default export",
      module("bad", "export const x = 1;"),
      /crashed: Error: .*has no kernel as its default export$/m,
    ],
    [
      "returns",
      module("bad", "export default function* () { yield; }"),
      /crashed: Error: the kernel's main function returned$/m,
    ],
    [
      "throws in its main thread",
      kernel("bad", 'yield* sleep(1e6); throw new TypeError("too late");'),
      /crashed: TypeError: too late$/m,
    ],
    [
      "throws in another thread",
      kernel(
        "bad",
        'kernel.spawn("t", (function* (): Task { yield* sleep(1); throw new Error("aside"); })()); yield* sleep(1e12);',
      ),
      /crashed: Error: aside$/m,
    ],
    [
      "throws in an event's handler",
      kernel(
        "bad",
        `const self = 0x7ff0 as never;
         const port = kernel.events.allocUnbound(self);
         port.onEvent = () => { throw new Error("in a handler"); };
         kernel.events.bindInterdomain(self, port.port).notify();
         yield* sleep(1e12);`,
      ),
      /crashed: Error: in a handler$/m,
    ],
    [
      "touches what isn't mapped",
      kernel("bad", "kernel.cpu.view(0x12345000 as Va, 8, true);"),
      /crashed: PageFault: page fault: write to 0x12345000$/m,
    ],
    [
      "throws what can't be shown",
      kernel("bad", "throw { toString() { throw 1; } };"),
      /crashed: the kernel threw something that can't be shown$/m,
    ],
    ["throws nothing", kernel("bad", "throw undefined;"), /crashed: undefined$/m],
    [
      "runs out of stack",
      kernel("bad", "const deep = (n: number): number => deep(n + 1) + 1; deep(0);"),
      /crashed: RangeError: Maximum call stack/m,
    ],
    [
      "asks for a callback where there is no function",
      kernel("bad", "kernel.xen.setCallbacks(0x1230 as Va, 0x1230 as Va, 0); yield* sleep(1e6);"),
      /crashed: Error: RIP 0x1230 is no function of the kernel$/m,
    ],
    [
      "takes its own stack away",
      kernel(
        "bad",
        "kernel.xen.updateVaMapping((kernel.startInfo.pt_base_num + kernel.startInfo.nr_pt_frames_num * 4096) as Va, 0, 2); yield* sleep(1e6);",
      ),
      /^\(XEN\) Domain 1 .*crashed: /m,
    ],
    [
      "overwrites its own tables",
      kernel("bad", "kernel.cpu.view(kernel.startInfo.pt_base_num as Va, 8, true);"),
      /crashed: PageFault: page fault: write to 0x4/m,
    ],
  ];
  it.each(cases)("%s", (_, files, reason) => {
    const { status, output, session } = script(
      ["xl info free_memory", "xl create -c k/bad.cfg", "xl dmesg", "xl list", "xl info free_memory"],
      { files },
    );
    expect(output).toMatch(reason);
    const lines = output.trimEnd().split("\n");
    expect(lines.at(-2)).toMatch(/^Domain-0 /);
    expect(lines.at(-1)).toBe(lines[0]);
    expect(session.machine.checker()).toEqual([]);
    expect(status).toBe(0);
  });

  it("says where: the first lines of the stack", () => {
    const source = "function deep(): never { throw new Error('here'); }";
    const { session } = script(["xl create -c k/bad.cfg"], { files: kernel("bad", "deep();", { head: source }) });
    expect(session.log).toMatch(/\(XEN\) d1 Error: here\n\(XEN\) d1 {5}at deep \(/);
    expect(session.log).not.toContain("Processor.run");
  });

  it("on_crash is carried out: restarted until it runs", () => {
    const { output } = script(["xl create -c k/bad.cfg"], {
      files: kernel(
        "bad",
        `const id = Number(yield* kernel.store.read("domid"));
         kernel.console.print(\`try \${id}\`);
         yield* kernel.console.drain();
         if (id < 3) throw new Error("again");`,
        { extra: 'on_crash = "restart"' },
      ),
    });
    expect(output).toContain("try 1\ntry 2\ntry 3\n");
  });
});

describe("many rounds", () => {
  it("leave no frames, ports or JavaScript behind", async () => {
    const refs: WeakRef<object>[] = [];
    Object.assign(globalThis, { kernelsOfTest: (kernel: object) => refs.push(new WeakRef(kernel)) });
    const files = kernel(
      "round",
      `(globalThis as any).kernelsOfTest(kernel); kernel.console.print("up"); yield* sleep(1e12);`,
    );
    const session = new Session({ files });
    const measure = (rounds: number) => {
      for (let i = 0; i < rounds; i++) {
        session.type("xl create -q k/round.cfg\nxl console round --expect up\nxl destroy round\n");
        session.waitFor("up\n");
      }
      session.type("xl info free_memory\nxl domid Domain-0\n");
      session.waitFor("\n0\n");
      const { hv } = session.machine;
      const dom0 = hv.domains.get(0 as DomId)!;
      return {
        domains: [...hv.domains.keys()],
        freeFrames: hv.frames.freeFrames,
        ports: dom0.events.active,
        problems: session.machine.checker(),
      };
    };
    const after5 = measure(5);
    expect(after5.domains).toEqual([0]);
    expect(after5.problems).toEqual([]);
    expect(measure(25)).toEqual(after5);
    // What a weak reference was made to lives until the end of the turn.
    await new Promise((resolve) => setImmediate(resolve));
    setFlagsFromString("--expose-gc");
    (runInNewContext("gc") as () => void)();
    expect(refs.length).toBe(30);
    expect(refs.filter((ref) => ref.deref() !== undefined)).toEqual([]);
    expect(session.end()).toBe(0);
  });
});
