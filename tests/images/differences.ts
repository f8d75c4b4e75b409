// table
// How what Linux prints here may differ from what it printed on real Xen, and why: each line of the two transcripts goes
// through these rules, in order, and what is left must be the same set of lines. docs/LINUX.md lists them for people.

/** A part of a line that differs by nature is replaced by a word; `to` undefined drops the line on both sides. */
export interface Difference {
  why: string;
  pattern: RegExp;
  to: string | undefined;
}

export const DIFFERENCES: readonly Difference[] = [
  // Time
  { why: "the time since boot", pattern: /^\[ *\d+\.\d+\] /, to: "" },
  { why: "how fast the processor is", pattern: /\d+\.\d+ MHz processor/, to: "N MHz processor" },
  { why: "how fast the processor is", pattern: /\d+\.\d+ BogoMIPS \(lpj=\d+\)/, to: "N BogoMIPS" },
  { why: "how fast the processor is", pattern: /^(cpu MHz|bogomips)\t+: .*/, to: "$1: N" },
  {
    why: "its TSC is the same on all",
    pattern: /^(clocksource: tsc(-early)?: |tsc: Marking TSC unstable ).*/,
    to: undefined,
  },
  {
    why: "the system time at one moment",
    pattern: /sched_clock: Marking (un)?stable \(.*/,
    to: "sched_clock: Marking",
  },
  { why: "the date", pattern: /audit\(\d+\.\d+:/, to: "audit(DATE:" },
  { why: "the time since boot", pattern: /^\d+\.\d\d \d+\.\d\d$/, to: "UPTIME" },
  { why: "when entropy suffices", pattern: /^random: crng init done$/, to: undefined },
  // The hypervisor
  { why: "this is another hypervisor", pattern: /^(Xen version: 4\.17)\.7\S*( \(preserve-AD\))/, to: "$1$2" },
  { why: "this is another hypervisor", pattern: /^version\/extra .*/, to: "version/extra" },
  { why: "a two-level kernel has one more", pattern: /^ *\d+:.* -virq +debug\d+$/, to: undefined },
  { why: "a two-level kernel has one more", pattern: /^(cpu \d+ spinlock event irq) \d+$/, to: "$1 N" },
  { why: "a two-level kernel has one more", pattern: /^ *\d+:( +\d+)+ +(xen-.*)$/, to: "irq $2" },
  { why: "events are two-level, not FIFO", pattern: /xen:events: Using \S+ ABI/, to: "xen:events: Using ABI" },
  { why: "the domain's UUID", pattern: /^uuid .*/, to: "uuid" },
  { why: "the domain's name and number", pattern: /^(domid|name) \S+$/, to: "$1" },
  // The processor
  { why: "no XSAVE here", pattern: /^x86\/fpu: .*/, to: undefined },
  { why: "no XSAVE here", pattern: /^signal: max sigframe size: \d+/, to: "signal: max sigframe size" },
  {
    why: "another processor",
    pattern: /^(model name|flags|bugs|microcode|cache size|cpuid level)\t+: .*/,
    to: undefined,
  },
  { why: "another processor", pattern: /^(TLB size|clflush size|cache_alignment|address sizes)\t+: .*/, to: undefined },
  // What depends on the order of events
  { why: "interrupts counted until then", pattern: /^ *(\w+):( +\d+)+ +(\S.*)/, to: "$1: $3" },
  { why: "what is free at that moment", pattern: /^Mem: +\d+.*/, to: "Mem:" },
  { why: "what is free at that moment", pattern: /^Mem(Free|Available): .*/, to: "Mem$1" },
];

/** Lines that the script or the shell around it prints. */
export function normalized(text: string): string[] {
  const lines: string[] = [];
  for (const line of text.split("\n")) {
    let result: string | undefined = line.trimEnd();
    for (const { pattern, to } of DIFFERENCES) {
      if (result === undefined || !pattern.test(result)) continue;
      result = to === undefined ? undefined : result.replace(pattern, to);
    }
    if (result !== undefined && result !== "") lines.push(result);
  }
  return lines;
}

/** Lines that one has and the other hasn't, counted: threads print in an order of their own. */
export function onlyIn(one: readonly string[], other: readonly string[]): string[] {
  const left = new Map<string, number>();
  for (const line of other) left.set(line, (left.get(line) ?? 0) + 1);
  return one.filter((line) => {
    const count = left.get(line) ?? 0;
    left.set(line, count - 1);
    return count <= 0;
  });
}
