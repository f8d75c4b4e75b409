// Writes C from the declarations of shared/abi/: one header for each file, for our C guests and nobody else. Called by
// scripts/headers.ts and by the test that compares the committed headers. Gaps become explicit padding, members of unions
// anonymous unions, and every offset and size is asserted again by the compiler. Constants can be used from assembly.

import type { Field, Fields, ScalarKind, Struct } from "../../shared/abi/struct.ts";
import { type Declarations, declarations, FILES } from "./declarations.ts";

const C_TYPE: Record<ScalarKind, string> = {
  u8: "uint8_t",
  u16: "uint16_t",
  u32: "uint32_t",
  u64: "uint64_t",
  i8: "int8_t",
  i16: "int16_t",
  i32: "int32_t",
  i64: "int64_t",
};

/** All headers: path below guests/include/xen/, and text. */
export async function headers(): Promise<{ path: string; text: string }[]> {
  const all = await Promise.all(FILES.map(declarations));
  return all.map((d) => ({ path: `${d.file}.h`, text: header(d) }));
}

function header(d: Declarations): string {
  const guard = `XENOLITH_${d.file.toUpperCase().replace(/\W/g, "_")}_H`;
  const out = [
    `/* Generated from shared/abi/${d.file}.ts by \`npm run headers\`; edit that. */`,
    `#ifndef ${guard}`,
    `#define ${guard}`,
    "",
    ...[...new Set(d.uses)].map((file) => `#include <xen/${file}.h>`),
    ...(d.uses.length > 0 ? [""] : []),
    ...d.constants.map(({ name, value }) => `#define ${name} ${literal(value)}`),
  ];
  if (d.structs.length > 0) {
    out.push("", "#ifndef __ASSEMBLER__", "#include <stddef.h>", "#include <stdint.h>");
    for (const s of d.structs) out.push("", ...structure(s));
    out.push("", "#endif /* __ASSEMBLER__ */");
  }
  out.push("", `#endif /* ${guard} */`, "");
  return out.join("\n");
}

/** Without suffixes, which the assembler would not take: C gives a large hexadecimal number an unsigned type. */
function literal(value: number | bigint): string {
  if (value < 0) return `(${value})`;
  return value < 256 ? String(value) : `0x${value.toString(16)}`;
}

function structure(s: Struct<Fields>): string[] {
  const out = [`struct ${s.name} {`];
  let end = 0;
  let pads = 0;
  const pad = (to: number) => {
    if (to > end) out.push(`  uint8_t _gap${pads++}[${to - end}];`);
    end = Math.max(end, to);
  };
  const fields = Object.entries(s.fields);
  for (let i = 0; i < fields.length; ) {
    pad(fields[i][1].offset);
    if (!fields[i][1].union) {
      const [key, f] = fields[i++];
      out.push(`  ${member(key, f)}`);
      end = f.offset + f.size;
      continue;
    }
    const run: Entry[] = [];
    for (; i < fields.length && fields[i][1].union; i++) run.push(fields[i]);
    for (const members of unions(run)) {
      const start = Math.min(...members.map(([, f]) => f.offset));
      pad(start);
      const align = Math.max(...members.map(([, f]) => f.align));
      if (members.length === 1) out.push(`  ${member(...members[0])}`);
      else out.push("  union {", ...alternatives(members, start).map((line) => `    ${line}`), "  };");
      end = Math.ceil(Math.max(...members.map(([, f]) => f.offset + f.size)) / align) * align;
    }
  }
  pad(s.size);
  out.push("};");
  for (const [key, f] of fields)
    out.push(`_Static_assert(offsetof(struct ${s.name}, ${key}) == ${f.offset}, "${s.name}.${key}");`);
  out.push(`_Static_assert(sizeof(struct ${s.name}) == ${s.size}, "${s.name}");`);
  return out;
}

type Entry = [key: string, field: Field];

/** Splits a run of union members into the unions that it consists of: members that overlap, directly or by others. */
function unions(run: readonly Entry[]): Entry[][] {
  const out: Entry[][] = [];
  let end = -1;
  for (const entry of run.toSorted(([, a], [, b]) => a.offset - b.offset)) {
    if (entry[1].offset >= end) out.push([]);
    out.at(-1)!.push(entry);
    end = Math.max(end, entry[1].offset + entry[1].size);
  }
  return out;
}

/** The members of one union. Those of one structure in C (`u.x.a`, `u.x.b`) stay together. */
function alternatives(members: readonly Entry[], start: number): string[] {
  const groups = new Map<string, Entry[]>();
  for (const [key, f] of members) {
    const path = f.path?.split(".") ?? [];
    const group = path.length > 2 ? path.slice(0, -1).join(".") : key;
    groups.set(group, [...(groups.get(group) ?? []), [key, f]]);
  }
  return [...groups.values()].map((entries) => {
    if (entries.length === 1 && entries[0][1].offset === start) return member(...entries[0]);
    let at = start;
    const parts = entries.flatMap(([key, f]) => {
      const gap = f.offset - at;
      at = f.offset + f.size;
      return [...(gap > 0 ? [`uint8_t _gap_${key}[${gap}];`] : []), member(key, f)];
    });
    return `struct { ${parts.join(" ")} };`;
  });
}

function member(key: string, f: Field): string {
  switch (f.kind) {
    case "bytes":
      return `uint8_t ${key}[${f.size}];`;
    case "chars":
      return `char ${key}[${f.size}];`;
    case "struct":
      return `${typeName(f)} ${key};`;
    case "array":
      return `${typeName(f)} ${key}[${f.count || ""}];`;
    default:
      return `${C_TYPE[f.kind]} ${key};`;
  }
}

function typeName(f: Field): string {
  return typeof f.element === "object" ? `struct ${f.element.name}` : C_TYPE[f.element as ScalarKind];
}
