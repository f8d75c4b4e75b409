// Our declarations against Debian's public headers (libxen-dev): every constant, offset, size and member width, by a C
// program that prints what the compiler sees. Skips where gcc or the headers are missing, or are of another Xen than 4.17.

import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Declarations, declarations, FILES } from "../../../scripts/headers/declarations.ts";

const DOMCTL = "/usr/include/xen/domctl.h";
/** domctl's version is 0x15 in 4.17, and another in each of its neighbours. */
const is417 = existsSync(DOMCTL) && /_DOMCTL_INTERFACE_VERSION\s+0x0*15\b/.test(readFileSync(DOMCTL, "utf8"));
const present = is417 && spawnSync("gcc", ["--version"]).status === 0;

/** Declarations that have no counterpart in 4.17's headers, each with the reason. */
const OURS = new Set([
  // Members and structures that exist in prose or as plain typedefs only.
  ...["xen_domain_handle", "xen_guest_handle_uuid", "xen_e820entry", "xen_sring", "xen_build_id"],
  // Xen 3.0's BVT parameters, which are longer than any scheduler's of 4.17: they widen the argument of scheduler_op.
  ...["sizeof xen_domctl_scheduler_op", "size xen_domctl.u.scheduler_op"],
  ...["bvt_adjdom", "bvt_ctl", "XEN_SCHEDULER_BVT", "xen_domctl_scheduler_op.bvt", "xen_sysctl_scheduler_op.sched_bvt"],
]);
/** Constants of the architecture, not of the headers. */
const ARCHITECTURE = /^(_PAGE_|PFEC_|TRAP_|TI_FLAG_|E820|XEN_COMMANDLINE_LEN$)/;

const INCLUDES = `
#define __XEN_TOOLS__ 1
#define __XEN_INTERFACE_VERSION__ 0x00041100
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <errno.h>
#define XEN_ERRNO(name, value) XEN_##name = value,
enum xen_errno_test {
#include <xen/errno.h>
XEN_EINTR = 4, XEN_ERESTART = 85 };
#define __XEN__ 1
#undef __XEN__
#include <xen/xen.h>
#include <xen/arch-x86/cpuid.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/memory.h>
#include <xen/version.h>
#include <xen/features.h>
#include <xen/callback.h>
#include <xen/elfnote.h>
#include <xen/physdev.h>
#include <xen/nmi.h>
#include <xen/domctl.h>
#include <xen/sysctl.h>
#include <xen/io/console.h>
#include <xen/io/xs_wire.h>
#define xen_mb() 
#define xen_rmb() 
#define xen_wmb() 
#include <xen/io/blkif.h>
#include <xen/io/netif.h>
#include <xen/io/xenbus.h>
`;

/** One line of C for each fact, and what it must print. */
function facts(all: readonly Declarations[]): { c: string; want: string }[] {
  const out: { c: string; want: string }[] = [];
  const fact = (label: string, expression: string, value: number | bigint) => {
    if (OURS.has(label)) return;
    const want = BigInt.asUintN(64, BigInt(value)).toString(16);
    out.push({ c: `printf("${label} %llx\\n", (unsigned long long)(${expression}));`, want: `${label} ${want}` });
  };
  for (const { constants, structs } of all) {
    for (const { name, value } of constants)
      if (!OURS.has(name) && !ARCHITECTURE.test(name)) fact(name, `(long long)(${name})`, value);
    for (const s of structs) {
      if (OURS.has(s.name)) continue;
      const type = `struct ${s.name}`;
      fact(`sizeof ${s.name}`, `sizeof(${type})`, s.size);
      for (const [key, f] of Object.entries(s.fields)) {
        if (OURS.has(`${s.name}.${key}`)) continue;
        const path = f.path ?? key;
        fact(`offset ${s.name}.${path}`, `offsetof(${type}, ${path})`, f.offset);
        fact(`size ${s.name}.${path}`, `sizeof(((${type} *)0)->${path})`, f.size);
      }
    }
  }
  return out;
}

describe.skipIf(!present)("declarations against libxen-dev's headers", () => {
  test("every constant, offset and size is the one that the C compiler sees", async () => {
    const all = await Promise.all(FILES.map(declarations));
    const list = facts(all);
    const dir = mkdtempSync(join(tmpdir(), "xenolith-abi-"));
    try {
      const body = list.map((f) => f.c).join("\n");
      writeFileSync(join(dir, "facts.c"), `${INCLUDES}\nint main(void) {\n${body}\nreturn 0; }\n`);
      execFileSync("gcc", ["-w", "-o", join(dir, "facts"), join(dir, "facts.c")]);
      const lines = execFileSync(join(dir, "facts"), { encoding: "utf8" }).trimEnd().split("\n");
      const wrong = list.map((f, i) => [f.want, lines[i]]).filter(([want, is]) => want !== is);
      expect(wrong.map(([want, is]) => `ours: ${want}, theirs: ${is}`)).toEqual([]);
      expect(lines.length).toBeGreaterThan(1500);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});
