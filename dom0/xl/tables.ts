// The tables that xl prints, in the form of the real one, to the blank: reference/xl has samples of each. Pure functions
// from facts to text; the commands gather the facts.

import { printableJson } from "../printable.ts";

export interface ListRow {
  readonly name: string;
  readonly domid: number;
  readonly memoryMiB: number;
  readonly vcpus: number;
  readonly running: boolean;
  readonly blocked: boolean;
  readonly paused: boolean;
  readonly shutdown: boolean;
  readonly crashed: boolean;
  readonly dying: boolean;
  readonly seconds: number;
  readonly uuid: string;
  readonly shutdownReason: number;
}

export function listTable(rows: readonly ListRow[], verbose: boolean): string {
  const more = verbose ? "   UUID                            Reason-Code\tSecurity Label" : "";
  const head = `Name                                        ID   Mem VCPUs\tState\tTime(s)${more}\n`;
  return head + rows.map((row) => listLine(row, verbose)).join("");
}

function listLine(r: ListRow, verbose: boolean): string {
  const state =
    (r.running ? "r" : "-") +
    (r.blocked ? "b" : "-") +
    (r.paused ? "p" : "-") +
    (r.shutdown ? "s" : "-") +
    (r.crashed ? "c" : "-") +
    (r.dying ? "d" : "-");
  const line = `${left(r.name, 40)} ${right(r.domid, 5)} ${right(r.memoryMiB, 5)} ${right(r.vcpus, 5)}     ${state}  ${fixed(r.seconds, 8)}`;
  if (!verbose) return `${line}\n`;
  const reason = r.shutdown ? right(r.shutdownReason.toString(16), 8) : right("-", 8);
  return `${line} ${r.uuid} ${reason} ${right("-", 16)}\n`;
}

export interface VcpuRow {
  readonly name: string;
  readonly domid: number;
  readonly vcpu: number;
  readonly online: boolean;
  readonly cpu: number;
  readonly running: boolean;
  readonly blocked: boolean;
  readonly seconds: number;
}

export function vcpuTable(rows: readonly VcpuRow[]): string {
  const head = `${left("Name", 32)} ${right("ID", 5)} ${right("VCPU", 5)} ${right("CPU", 5)} ${right("State", 5)} ${right("Time(s)", 9)} Affinity (Hard / Soft)\n`;
  return head + rows.map(vcpuLine).join("");
}

function vcpuLine(r: VcpuRow): string {
  const where = r.online
    ? `${right(r.cpu, 5)}   ${r.running ? "r" : "-"}${r.blocked ? "b" : "-"}- `
    : `${right("-", 5)}   --p `;
  return `${left(r.name, 32)} ${right(r.domid, 5)} ${right(r.vcpu, 5)}${where}${fixed(r.seconds, 9)}  all / all\n`;
}

export interface UptimeRow {
  readonly name: string;
  readonly domid: number;
  readonly seconds: number;
}

export function uptimeTable(rows: readonly UptimeRow[]): string {
  const line = (name: string, id: string, uptime: string): string => `${left(name, 33)} ${right(id, 4)} ${uptime}\n`;
  return line("Name", "ID", "Uptime") + rows.map((r) => line(r.name, String(r.domid), uptimeText(r.seconds))).join("");
}

/** "1 day,  2:03:04". */
export function uptimeText(seconds: number): string {
  const days = Math.floor(seconds / 86400);
  const two = (n: number): string => String(n).padStart(2, "0");
  const clock = `${right(Math.floor(seconds / 3600) % 24, 2)}:${two(Math.floor(seconds / 60) % 60)}:${two(Math.floor(seconds) % 60)}`;
  return days === 0 ? clock : `${days} day${days > 1 ? "s" : ""}, ${clock}`;
}

export interface BvtRow {
  readonly name: string;
  readonly domid: number;
  readonly weight: number;
  readonly mcuAdvance: number;
  readonly warp: boolean;
  readonly warpValue: number;
  readonly warpLimitMs: number;
  readonly unwarpLimitMs: number;
}

/** Extension: in the form of `xl sched-credit`. */
export function bvtTable(allowanceNs: number, rows: readonly BvtRow[]): string {
  const line = (...cells: readonly (string | number)[]): string =>
    `${left(String(cells[0]), 33)} ${right(cells[1], 4)} ${right(cells[2], 6)} ${right(cells[3], 7)} ${right(cells[4], 4)} ${right(cells[5], 9)} ${right(cells[6], 9)} ${right(cells[7], 11)}\n`;
  return (
    `Cpupool Pool-0: ctx_allow=${allowanceNs / 1000}us\n` +
    line("Name", "ID", "Weight", "McuAdv", "Warp", "WarpValue", "WarpL(ms)", "UnwarpL(ms)") +
    rows
      .map((r) =>
        line(
          r.name,
          r.domid,
          r.weight,
          r.mcuAdvance,
          r.warp ? "on" : "off",
          r.warpValue,
          r.warpLimitMs,
          r.unwarpLimitMs,
        ),
      )
      .join("")
  );
}

export interface BlockRow {
  readonly domid: number;
  readonly devid: number;
  readonly state: number;
  readonly eventChannel: number;
  readonly ringRef: number;
  readonly backend: string;
}

/** xl block-list. Its "handle" is the guest's number, as in the real one. */
export function blockTable(rows: readonly BlockRow[]): string {
  const line = (...cells: readonly (string | number)[]): string =>
    `${[5, 3, 6, 5, 6, 8, 30].map((width, i) => left(String(cells[i]), width)).join(" ")}\n`;
  return (
    line("Vdev", "BE", "handle", "state", "evt-ch", "ring-ref", "BE-path") +
    rows.map((r) => line(r.devid, 0, r.domid, r.state, r.eventChannel, r.ringRef, r.backend)).join("")
  );
}

/** `name : value` lines, the colon in column 24. */
export function infoLines(facts: readonly (readonly [string, string | number])[]): string {
  return facts.map(([name, value]) => `${left(name, 23)}: ${value}\n`).join("");
}

/** JSON as yajl prints it: four blanks for each level, an empty object over two lines. */
export function yajl(value: unknown, indent = ""): string {
  const inner = `${indent}    `;
  if (Array.isArray(value)) {
    if (value.length === 0) return `[\n\n${indent}]`;
    return `[\n${value.map((v) => inner + yajl(v, inner)).join(",\n")}\n${indent}]`;
  }
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value);
    if (entries.length === 0) return `{\n\n${indent}}`;
    return `{\n${entries.map(([k, v]) => `${inner}${JSON.stringify(k)}: ${yajl(v, inner)}`).join(",\n")}\n${indent}}`;
  }
  return printableJson(value);
}

const left = (text: string, width: number): string => text.padEnd(width);
const right = (value: string | number, width: number): string => String(value).padStart(width);
const fixed = (seconds: number, width: number): string => right(seconds.toFixed(1), width);
