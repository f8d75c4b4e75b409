// Where the machine's time goes: `--profile`, and `npm run bench -- linux-boot`. Time is counted to what is at work and to
// nothing around it: what it calls is left out. Who has something to tell tests `hv.profile` first, so that it costs a
// load and a branch when nobody profiles; what the processor does inside a run is timed by functions put around its own
// when it is made. On the real clock only. Left out: time asleep, and what each instruction takes.

import type { Domain } from "./domain.ts";
import { CpuLayout, Reg } from "./machine/cpu_state.ts";
import { Exit } from "./machine/processor.ts";
import type { Vcpu } from "./vcpu.ts";

/** Vectors by the names that a profile shows them under. */
const VECTORS: Readonly<Record<number, string>> = { 6: "exceptions: #UD, forced emulation", 14: "exceptions: #PF" };

export interface Activity {
  readonly name: string;
  count: number;
  ns: number;
}

export class Profile {
  /** Instructions that x86 guests have completed. */
  instructions = 0;
  readonly #now: () => number;
  readonly #hypercalls: readonly ({ readonly name: string } | undefined)[];
  readonly #activities = new Map<string, Activity>();
  readonly #stack: Activity[] = [];
  readonly #loop = this.of("scheduling, timers, interrupts");
  readonly #x86 = this.of("interpreter");
  readonly #kernels = this.of("TypeScript kernels");
  #current = this.#loop;
  #last = 0;

  /** `nowNs` is the host's monotonic clock; `hypercalls` their names by number. */
  constructor(nowNs: () => number, hypercalls: readonly ({ readonly name: string } | undefined)[]) {
    this.#now = nowNs;
    this.#hypercalls = hypercalls;
  }

  /** What is counted under this name. */
  of(name: string): Activity {
    let activity = this.#activities.get(name);
    if (activity === undefined) {
      activity = { name, count: 0, ns: 0 };
      this.#activities.set(name, activity);
    }
    return activity;
  }

  /** All that took time, the longest first. */
  activities(): Activity[] {
    return [...this.#activities.values()].filter(({ ns }) => ns > 0).sort((a, b) => b.ns - a.ns);
  }

  /** A turn of the main loop, from here to `end`. */
  begin(): void {
    this.#last = this.#now();
    this.#current = this.#loop;
  }

  end(): void {
    this.#current.ns += this.#now() - this.#last;
    this.#stack.length = 0;
  }

  enter(activity: Activity): void {
    const now = this.#now();
    this.#current.ns += now - this.#last;
    this.#last = now;
    activity.count++;
    this.#stack.push(this.#current);
    this.#current = activity;
  }

  leave(): void {
    const now = this.#now();
    this.#current.ns += now - this.#last;
    this.#last = now;
    this.#current = this.#stack.pop() ?? this.#loop;
  }

  /** A run of the domain's processor begins. */
  enterRun(domain: Domain, x86: boolean): void {
    this.enter(x86 ? this.#x86 : domain.privileged ? this.#kernels : this.of(`TypeScript kernel of d${domain.id}`));
  }

  /** The run has ended, and its exit is to be handled. */
  enterExit(vcpu: Vcpu, exit: Exit, retired: number, x86: boolean): void {
    this.leave();
    if (x86) this.instructions += retired;
    switch (exit) {
      case Exit.Syscall:
        this.enter(vcpu.kernelMode ? this.#hypercall(vcpu.cpu.lo(Reg.RAX)) : this.of("system calls of user programs"));
        break;
      case Exit.Exception:
        this.enter(this.of(VECTORS[vcpu.cpu.field(CpuLayout.vector)] ?? "exceptions: others"));
        break;
      case Exit.SoftInterrupt:
        this.enter(this.of("int n"));
        break;
      case Exit.Privileged:
        this.enter(this.of("privileged instructions"));
        break;
      default:
        this.enter(this.#loop);
    }
  }

  #hypercall(nr: number): Activity {
    return this.of(`hypercall ${this.#hypercalls[nr]?.name ?? "that isn't"}`);
  }

  /** The function, with what it takes counted under `name`. */
  timed<F extends (...args: never[]) => unknown>(name: string, f: F): F {
    const activity = this.of(name);
    const around = (...args: Parameters<F>): unknown => {
      this.enter(activity);
      const result = f(...args);
      this.leave();
      return result;
    };
    return around as F;
  }
}
