// `npm start` on a terminal of its own, which util-linux's `script` makes: raw while the machine runs, as before afterwards.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { afterEach, describe, expect, test } from "vitest";

const hasScript = spawnSync("script", ["--version"]).status === 0;
let child: ChildProcess | undefined;
afterEach(() => {
  child?.kill();
});

class Screen {
  readonly #child: ChildProcess;
  #text = "";
  #look: () => void = () => {};

  constructor(command: string) {
    this.#child = child = spawn("script", ["-qfec", command, "/dev/null"], {
      stdio: ["pipe", "pipe", "ignore"],
      env: { ...process.env, TERM: "xterm", NO_COLOR: "1" },
    });
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#text += text;
      this.#look();
    });
  }

  type(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** What was shown up to and with `pattern`, since the last wait. */
  shows(pattern: RegExp): Promise<string> {
    return new Promise((resolve) => {
      this.#look = () => {
        const found = pattern.exec(this.#text);
        if (found === null) return;
        const end = found.index + found[0].length;
        const shown = this.#text.slice(0, end);
        this.#text = this.#text.slice(end);
        this.#look = () => {};
        resolve(shown);
      };
      this.#look();
    });
  }
}

const START = `"${process.execPath}" scripts/start.mjs`;
const STATE = "; echo status $?; stty -a; echo end";

describe.skipIf(!hasScript)("the terminal of npm start", () => {
  test("keys go to dom0, Ctrl-C too; at the end the terminal is as it was", async () => {
    const screen = new Screen(START + STATE);
    await screen.shows(/dom0# /);
    screen.type("xl nonsense\x03");
    await screen.shows(/\^C[\r\n]+dom0# /);
    screen.type("xl domid Domain-0\r");
    await screen.shows(/[\r\n]0[\r\n]+dom0# /);
    screen.type("\x04");
    const after = await screen.shows(/end\r?\n/);
    expect(after).toContain("status 0");
    expect(after).toMatch(/ icanon/);
    expect(after).toMatch(/ echo /);
  });

  test("a machine that is told to end by a signal gives the terminal back too", async () => {
    const screen = new Screen(`sh -c 'echo pid $$; exec ${START}'${STATE}`);
    const pid = Number(/pid (\d+)/.exec(await screen.shows(/dom0# /))?.[1]);
    process.kill(pid, "SIGTERM");
    const after = await screen.shows(/end\r?\n/);
    expect(after).toContain("status 143");
    expect(after).toMatch(/ icanon/);
  });
});
