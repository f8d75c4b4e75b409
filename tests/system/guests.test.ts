// Real kernels from ELF files, as domains: booted, listed, talked to, paused, ended, crashed, restarted.

import { describe, expect, it } from "vitest";
import type { DomId } from "../../shared/brand.ts";
import { GUEST_FILES, Session, script } from "./session.ts";

const guest = (name: string): string => `tests/guests/${name}/${name}.cfg`;

describe("hello", () => {
  it("boots, prints, powers off, and nothing is left of it", () => {
    const { status, output, session } = script([
      "xl info free_memory",
      "xl create -c guests/hello/hello.cfg",
      "xl list",
      "xl info free_memory",
      "xenstore-ls /vm",
    ]);
    const lines = output.split("\n");
    expect(lines[1]).toBe("Parsing config from guests/hello/hello.cfg");
    expect(output).toContain("hello: I am domain 1, hello\n");
    expect(output).toContain("hello: good bye\n");
    expect(output).toMatch(/Time\(s\)\nDomain-0 +0 +16 +1 +r----- +\d+\.\d\n/);
    expect(lines.at(-2)).toBe(lines[0]);
    expect(status).toBe(0);
    expect(session.machine.checker()).toEqual([]);
    expect(session.logs.get("guest-hello.log")).toContain("hello: good bye\n");
    expect(session.logs.get("xl-hello.log")).toContain("Action for shutdown reason code 0 is destroy");
  });

  it("gives the same run byte for byte on the virtual clock", () => {
    const lines = ["xl create -c guests/hello/hello.cfg", "xl list -v", "xenstore-ls -f -p"];
    expect(script(lines).output).toBe(script(lines).output);
  });

  it("takes settings from the command line, and its name from xenstore", () => {
    const { output } = script([`xl create -c guests/hello/hello.cfg 'name="other"' memory=16`]);
    expect(output).toContain("hello: I am domain 1, other\n");
  });
});

describe("two guests", () => {
  it("both run, one spinning and one printing, and either can be ended", () => {
    const { status, output } = script([
      "xl info free_memory",
      `xl create -q ${guest("spin")}`,
      `xl create -q ${guest("ticker")}`,
      "xl console ticker --expect 'ticker: 5$' --timeout 60",
      "xl list",
      "xl destroy ticker",
      "xl destroy spin",
      "xl info free_memory",
    ]);
    expect(status).toBe(0);
    const lines = output.trimEnd().split("\n");
    expect(lines.slice(1, 6)).toEqual([1, 2, 3, 4, 5].map((n) => `ticker: ${n}`));
    const spun = /^spin +1 +8 +1 +\S+ +(\d+\.\d)$/m.exec(output);
    expect(Number(spun?.[1])).toBeGreaterThan(0.2);
    expect(output).toMatch(/^ticker +2 +8 +1 +-b---- +\d+\.\d$/m);
    expect(lines.at(-1)).toBe(lines[0]);
  });

  it("fifty rounds of making and ending leave nothing behind", () => {
    const session = new Session();
    const measure = (rounds: number) => {
      for (let i = 0; i < rounds; i++) {
        session.type(`xl create -q ${guest("ticker")}\nxl console ticker --expect 'ticker: 1$'\nxl destroy ticker\n`);
        session.waitFor("ticker: 1\n");
      }
      session.type("xl info free_memory\nxl domid Domain-0\n");
      session.waitFor("\n0\n");
      const { hv } = session.machine;
      const dom0 = hv.domains.get(0 as DomId)!;
      const { frames, memory } = hv;
      const numbers = Array.from({ length: memory.frames }, (_, i) => i);
      return {
        domains: [...hv.domains.keys()],
        freeFrames: frames.freeFrames,
        // What the host has memory behind, but for frames that were touched and are zero again.
        touched: numbers.filter((mfn) => memory.u32.subarray(mfn * 1024, mfn * 1024 + 1024).some((word) => word !== 0))
          .length,
        ports: dom0.events.active,
        problems: session.machine.checker(),
      };
    };
    const after5 = measure(5);
    expect(after5.domains).toEqual([0]);
    expect(after5.problems).toEqual([]);
    expect(measure(45)).toEqual(after5);
    expect(session.end()).toBe(0);
  });
});

describe("a guest's console", () => {
  it("takes lines and gives answers by --send and --expect", () => {
    const { status, output } = script([
      `xl create -q ${guest("echo")}`,
      "xl console echo --expect ready --send 'hello there' --expect 'echo: hello there'",
      "xl console echo --send quit --expect 'good bye' --timeout 5",
      "xl console echo --send x --expect y",
    ]);
    expect(output).toContain("echo: ready");
    expect(output).toContain("echo: hello there");
    expect(output.trimEnd().split("\n").at(-1)).toBe("echo is an invalid domain identifier (rc=-6)");
    expect(status).toBe(1);
  });

  it("--expect gives up when the time is over, or the domain", () => {
    const { status, output } = script([
      `xl create -q ${guest("echo")}`,
      "xl console echo --expect never --timeout 2",
      "xl console echo --expect '('",
      "xl console echo --send quit --expect never",
    ]);
    expect(output).toContain("xl console: /never/ did not appear within 2 s\n");
    expect(output).toContain('xl console: "(" is not a regular expression\n');
    expect(output).toContain("xl console: /never/ did not appear before the domain ended\n");
    expect(status).toBe(1);
  });
});

describe("pause and unpause", () => {
  it("stop a guest and let it go on", () => {
    const { status, output } = script([
      `xl create -p -q ${guest("ticker")}`,
      "xl list ticker",
      "xl console ticker --expect ticker --timeout 1",
      "xl unpause ticker",
      "xl console ticker --expect 'ticker: 2$'",
      "xl pause ticker",
      "xl pause ticker",
      "xl list ticker",
      "xl unpause ticker",
      "xl console ticker --expect 'ticker: 9$'",
    ]);
    expect(output).toMatch(/^ticker +1 +8 +1 +--p--- +0\.0$/m);
    expect(output).toContain("/ticker/ did not appear within 1 s");
    expect(output).toContain("ticker: 9");
    expect(status).toBe(1);
  });
});

describe("xl shutdown -w", () => {
  it("ends when all has happened that follows from the end, and says why it came", () => {
    const ended = (more: string): string =>
      script([`xl create -q guests/hello/hello.cfg ${more}`, "xl shutdown -w hello", "xl list"]).output;
    expect(ended("")).toMatch(/^Domain 1 has been shut down, reason code 0\nName .*\nDomain-0 .*\n$/m);
    expect(ended(`'on_poweroff="preserve"'`)).toMatch(/^hello +1 +8 +1 +---s-- /m);
    expect(ended(`'on_poweroff="restart"'`)).toMatch(/^hello +2 +8 +1 +/m);
  });
});

describe("a guest that misbehaves", () => {
  it.each(["garbage", "badstack", "badtraps", "faultloop"])("%s is crashed alone, with a reason", (name) => {
    const { status, output, session } = script([
      `xl create -q ${guest("ticker")}`,
      `xl create -q -c ${guest(name)} 'on_crash="preserve"'`,
      "xl list",
      "xl console ticker --expect 'ticker: 3$'",
      `xl destroy ${name}`,
      "xl dmesg",
    ]);
    expect(output).toMatch(new RegExp(`^${name} +2 +8 +1 +---sc- +\\d+\\.\\d$`, "m"));
    expect(output).toMatch(/Domain 2 .*crash|d2.*crash|crash.*d2/i);
    expect(status).toBe(0);
    expect(session.machine.checker()).toEqual([]);
  });
});

describe("what a configuration says of a domain's end", () => {
  it("on_poweroff = restart makes it again, and create -c shows the new one", () => {
    const session = new Session({ terminal: true });
    session.waitFor("dom0# ");
    session.type("xl create -c -q guests/hello/hello.cfg 'on_poweroff=\"restart\"'\r");
    session.waitFor("hello: I am domain 1");
    session.waitFor("hello: I am domain 2");
    session.waitFor("hello: I am domain 3");
    session.type("\x1d");
    session.waitFor("dom0# ");
    session.type("xl list\r");
    expect(session.waitFor("hello ")).toContain("Domain-0");
    session.type("exit\r");
    expect(session.end()).toBe(0);
  });

  it("on_poweroff = rename-restart twice in one minute leaves the second one, and says so", () => {
    const session = new Session({ files: GUEST_FILES });
    session.type(`xl create -q guests/hello/hello.cfg 'on_poweroff="rename-restart"'\n`);
    session.type("xl console hello\nxl console hello\nxl list\nxl dmesg\n");
    session.waitFor("virtual");
    expect(session.output).toMatch(/^hello-20231114T22\d\dZ +1 +8 +1 +---s-- /m);
    expect(session.output).toMatch(/^hello +2 +8 +1 +---s-- /m);
    expect(session.logs.get("xl-hello.log")).toMatch(
      /failed to restart: Domain with name "hello-\S+" already exists\.\n$/,
    );
    session.end();
    expect(session.log).not.toContain("toolstack:");
  });

  it("on_poweroff = rename-restart keeps the old one under another name", () => {
    const session = new Session({ files: GUEST_FILES });
    session.type(`xl create -q guests/hello/hello.cfg 'on_poweroff="rename-restart"'\n`);
    session.type("xl shutdown -w hello\nxl list\n");
    session.waitFor("Domain 1 has been shut down, reason code 0\n");
    const shown = session.waitFor("Domain-0");
    expect(shown).toContain("Time(s)");
    session.end();
    expect(session.output).toMatch(/^hello-20231114T22\d\dZ +1 +8 +1 +---s-- /m);
  });
});
