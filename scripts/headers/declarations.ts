// The ABI's declarations as the generator and its tests see them: for each file of shared/abi/ its constants and
// structures, in the order of the source. A structure file's exports are all there is to it; nothing is written twice.

import { readFileSync } from "node:fs";
import type { Fields, Struct } from "../../shared/abi/struct.ts";

/** Files of shared/abi/, without extension, in an order in which each comes after those whose structures it uses. */
export const FILES = [
  "errno",
  "arch_x86",
  "xen",
  "features",
  "version",
  "elfnote",
  "event_channel",
  "grant_table",
  "sched",
  "vcpu",
  "memory",
  "callback",
  "nmi",
  "physdev",
  "domctl",
  "sysctl",
  "io/console",
  "io/xs_wire",
  "io/ring",
  "io/blkif",
  "io/netif",
  "io/xenbus",
] as const;

export interface Declarations {
  readonly file: string;
  readonly constants: readonly { name: string; value: number | bigint }[];
  readonly structs: readonly Struct<Fields>[];
  /** Names of the files whose declarations this one imports. */
  readonly uses: readonly string[];
}

/** Loads one file's declarations. */
export async function declarations(file: string): Promise<Declarations> {
  const url = new URL(`../../shared/abi/${file}.ts`, import.meta.url);
  const module = (await import(url.href)) as Record<string, unknown>;
  const source = readFileSync(url, "utf8");
  const constants: { name: string; value: number | bigint }[] = [];
  const structs: Struct<Fields>[] = [];
  for (const [, name] of source.matchAll(/^export const (\w+)/gm)) {
    const value = module[name];
    if (typeof value === "number" || typeof value === "bigint") constants.push({ name, value });
    else if (isStruct(value)) structs.push(value);
  }
  const uses = [...source.matchAll(/from "\.\/(\w+)\.ts"/g)].map((m) => m[1]).filter((f) => f !== "struct");
  return { file, constants, structs, uses };
}

function isStruct(value: unknown): value is Struct<Fields> {
  return typeof value === "object" && value !== null && "fields" in value && "offsets" in value;
}
