// Traces as text: one line for each thing that the hypervisor tells (trace.ts), for `--trace` and for tests that compare
// runs. A line begins with the system time and the vcpu. Hypercall arguments are shown in hexadecimal, by the number of
// them that the table names, the command and a failure's result by name.

import { CONTINUE, NO_RESULT } from "./hypercalls/args.ts";
import type { Hypervisor } from "./hypervisor.ts";
import { canonical, Reg } from "./machine/cpu_state.ts";
import { commandName, resultName } from "./trace_names.ts";
import { PREFIX } from "./traps/emulate.ts";
import type { Vcpu } from "./vcpu.ts";

/** Hypercalls whose command is in the structure that they point at. */
const IN_MEMORY = ["domctl", "mmuext_op", "sysctl"];

/**
 * Gives each thing that the machine's trace has turned on (its booleans, and `insn`) to `sink` as a line. Instructions are
 * shown as RIP, by `disassemble` if given, and the registers that the one before changed.
 */
export function formatTrace(
  machine: { readonly hv: Hypervisor },
  sink: (line: string) => void,
  disassemble?: (bytes: Uint8Array, rip: bigint) => string,
): void {
  const { hv } = machine;
  const line = (vcpu: Vcpu | undefined, text: string): void => {
    const who = vcpu === undefined ? "-" : `d${vcpu.domain.id}v${vcpu.id}`;
    sink(`${(hv.time.now() / 1e9).toFixed(9)} ${who} ${text}`);
  };
  const { emitter } = hv.trace;
  emitter.on("hypercall", (vcpu, _nr, name, args, result) => {
    const shown = result === CONTINUE ? "continued" : result === NO_RESULT ? "-" : resultName(result);
    const command = commandName(name, args, () =>
      hv.access.readU32(vcpu, canonical(Number(args[0] & 0xffffffffn), Number(args[0] >> 32n))),
    );
    const values = args.map((a) => `0x${a.toString(16)}`);
    if (command !== "" && !IN_MEMORY.includes(name)) values[0] = command;
    else if (command !== "") values[0] = `${command} at ${values[0]}`;
    line(vcpu, `hypercall ${name}(${values.join(", ")}) = ${shown}`);
  });
  emitter.on("trap", (vcpu, kind, vector, error) => {
    const code = error === -1 ? "" : ` [${error.toString(16)}]`;
    const what = kind === "exception" ? `vector ${vector}${code}` : kind;
    line(vcpu, `trap ${what} at 0x${vcpu.cpu.big(Reg.RIP).toString(16)}`);
  });
  emitter.on("privileged", (vcpu) => {
    const { cpu } = vcpu;
    const bytes = codeAt(hv, vcpu);
    const forced = PREFIX.every((byte, i) => bytes[i] === byte);
    const text = disassemble?.(forced ? bytes.subarray(PREFIX.length) : bytes, cpu.big(Reg.RIP)) ?? "";
    const registers = [Reg.RAX, Reg.RCX, Reg.RDX].map((reg) => `${NAMES[reg]}=${cpu.big(reg).toString(16)}`);
    line(
      vcpu,
      `${forced ? "forced" : "privileged"} ${text} at 0x${cpu.big(Reg.RIP).toString(16)}  ; ${registers.join(" ")}`,
    );
  });
  emitter.on("event", (domain, port, vcpu) => line(undefined, `event d${domain} port ${port} for v${vcpu}`));
  emitter.on("schedule", (vcpu, sliceNs) => line(vcpu, `run for ${Math.round(sliceNs / 1000)} us`));
  onInstruction(hv, line, disassemble);
}

const NAMES = [
  "rax",
  "rcx",
  "rdx",
  "rbx",
  "rsp",
  "rbp",
  "rsi",
  "rdi",
  "r8",
  "r9",
  "r10",
  "r11",
  "r12",
  "r13",
  "r14",
  "r15",
];

/** The bytes at RIP, as many as its page has and an instruction may; none when it isn't mapped. */
function codeAt(hv: Hypervisor, vcpu: Vcpu): Uint8Array {
  const va = vcpu.cpu.va(Reg.RIP);
  const bytes = new Uint8Array(15);
  if (hv.access.read(vcpu, va, bytes, 0, bytes.length)) return bytes;
  const length = Math.min(bytes.length, 4096 - (va % 4096));
  return bytes.subarray(0, hv.access.read(vcpu, va, bytes, 0, length) ? length : 0);
}

function onInstruction(
  hv: Hypervisor,
  line: (vcpu: Vcpu, text: string) => void,
  disassemble: ((bytes: Uint8Array, rip: bigint) => string) | undefined,
): void {
  const before = new Map<Vcpu, bigint[]>();
  hv.trace.emitter.on("instruction", (vcpu) => {
    const now = NAMES.map((_, reg) => vcpu.cpu.big(reg));
    const last = before.get(vcpu);
    const changed = NAMES.flatMap((name, reg) =>
      last === undefined || last[reg] === now[reg] ? [] : [`${name}=${now[reg].toString(16)}`],
    );
    before.set(vcpu, now);
    const rip = vcpu.cpu.big(Reg.RIP);
    const bytes = codeAt(hv, vcpu);
    const text = bytes.length > 0 ? (disassemble?.(bytes, rip) ?? "") : "";
    line(vcpu, `insn 0x${rip.toString(16)} ${text}${changed.length > 0 ? `  ; ${changed.join(" ")}` : ""}`);
  });
}
