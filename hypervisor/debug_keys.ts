// Debug keys: what the machine's parts are doing, written to the hypervisor's log. Called by sysctl (`xl debug-keys`, answer in
// `xl dmesg`). The letters are Xen's, the form of the lines is ours: each part's state in the words of its own file. Left out:
// Xen's keys that change something (reboot, crash, clear counters).

import type { Domain } from "./domain.ts";
import { type Channel, PortState } from "./events/event_channels.ts";
import type { Hypervisor } from "./hypervisor.ts";
import { DEBUG_KEY_LINES } from "./limits.ts";
import { Reg } from "./machine/cpu_state.ts";
import type { Vcpu } from "./vcpu.ts";

interface Key {
  readonly what: string;
  lines(hv: Hypervisor): Iterable<string>;
}

const KEYS: Readonly<Record<string, Key>> = {
  a: { what: "dump timers", lines: timers },
  e: { what: "dump evtchn info", lines: (hv) => each(hv, ports) },
  g: { what: "print grant table usage", lines: (hv) => each(hv, grants) },
  h: { what: "show this message", lines: help },
  q: { what: "dump domain info", lines: (hv) => each(hv, domain) },
  r: { what: "dump run queue", lines: runQueue },
};
const STATES = Object.entries(PortState).map(([name]) => name.toLowerCase());
const RUNSTATES = ["running", "runnable", "blocked", "offline"];

/** Answers one key, a character; unknown ones get a line too. */
export function debugKey(hv: Hypervisor, key: string): void {
  const known = Object.hasOwn(KEYS, key) ? KEYS[key] : undefined;
  if (known === undefined) {
    hv.log.line(`'${key}': no such debug key; 'h' lists them`);
    return;
  }
  hv.log.line(`'${key}' pressed -> ${known.what}`);
  for (const line of known.lines(hv)) hv.log.line(line);
}

function* help(): Iterable<string> {
  for (const [key, { what }] of Object.entries(KEYS)) yield ` key '${key}' => ${what}`;
}

/** The first lines of each domain, and how many more there would be: the log is a ring of bounded size. */
function* each(hv: Hypervisor, of: (hv: Hypervisor, domain: Domain) => Iterable<string>): Iterable<string> {
  for (const one of hv.domains.values()) {
    let count = 0;
    for (const line of of(hv, one)) if (++count <= DEBUG_KEY_LINES) yield line;
    if (count > DEBUG_KEY_LINES) yield `  and ${count - DEBUG_KEY_LINES} more`;
  }
}

function* domain(hv: Hypervisor, d: Domain): Iterable<string> {
  const { memory, pauseCount, dying, isShutDown } = d;
  yield `domain ${d.id}: ${memory.totPages} of ${memory.maxPages} pages, paused ${pauseCount} times${
    isShutDown ? `, shut down for reason ${d.shutdownReason}` : ""
  }${dying > 0 ? ", dying" : ""}`;
  for (const v of d.vcpus) {
    const where = v.cpu.big(Reg.RIP).toString(16).padStart(16, "0");
    const masked = hv.events.upcallsMasked(v) ? "masked" : "unmasked";
    yield `  ${name(v)}: ${RUNSTATES[v.runstate]}, ${v.kernelMode ? "kernel" : "user"} mode at ${where}, upcalls ${masked}${
      v.polling === undefined ? "" : `, polls ${v.polling.length} ports`
    }`;
  }
}

function* ports(hv: Hypervisor, d: Domain): Iterable<string> {
  yield `domain ${d.id}: ${d.events.active} ports in use`;
  for (let port = 1; port < d.events.validPorts; port++) {
    const c = d.events.at(port);
    if (c === undefined || c.state === PortState.Free) continue;
    const flags = `${hv.events.isPending(d, port) ? "p" : "-"}${hv.events.isMasked(d, port) ? "m" : "-"}`;
    yield `  ${String(port).padStart(4)} [${flags}] ${bound(c)}, vcpu ${c.vcpu}`;
  }
}

function bound({ state, remote, remotePort, remoteDomid, irq }: Channel): string {
  if (state === PortState.Interdomain) return `interdomain with domain ${remote!.id} port ${remotePort}`;
  if (state === PortState.Unbound) return `unbound for domain ${remoteDomid}`;
  return state === PortState.Ipi ? "ipi" : `${STATES[state]} ${irq}`;
}

function* grants(_hv: Hypervisor, { id, grants: table }: Domain): Iterable<string> {
  yield `domain ${id}: ${table.frames.length} of ${table.maxFrames} frames, ${table.maptrack.limit} maptrack handles`;
  for (let ref = 0; ref < table.entries; ref++) {
    const pins = table.pins[ref];
    if (pins !== 0)
      yield `  ref ${ref}: mfn ${table.mfns[ref].toString(16)}, used by domain ${table.users[ref]}, pins ${pins
        .toString(16)
        .padStart(8, "0")}`;
  }
}

function* runQueue(hv: Hypervisor): Iterable<string> {
  const policy = hv.sched.policy;
  yield `scheduler ${policy.name}, ${hv.sched.running === undefined ? "idle" : `${name(hv.sched.running)} runs`}`;
  for (const d of hv.domains.values())
    for (const v of d.vcpus) if (v.queued) yield `  ${name(v)}: ${policy.describe(v, hv.time.now())}`;
}

function* timers(hv: Hypervisor): Iterable<string> {
  const now = hv.time.now();
  yield `${hv.time.timers.size} timers at ${now} ns`;
  for (const d of hv.domains.values())
    for (const v of d.vcpus)
      for (const kind of ["singleshotTimer", "periodicTimer", "pollTimer"] as const)
        if (v[kind].active) yield `  ${name(v)}: ${kind.slice(0, -5)} in ${v[kind].deadline - now} ns`;
}

function name(vcpu: Vcpu): string {
  return `d${vcpu.domain.id}v${vcpu.id}`;
}
