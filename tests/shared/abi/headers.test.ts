// The C headers of guests/include/xen/, which are generated from shared/abi/: the committed ones are current, and a compiler takes
// them. libxen.test.ts compares the declarations with Xen's own headers.

import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { headers } from "../../../scripts/headers/generate.ts";

const folder = fileURLToPath(new URL("../../../guests/include/xen/", import.meta.url));
const gcc = spawnSync("gcc", ["--version"]).status === 0;

describe("the committed C headers", () => {
  test("are what the declarations give (else: npm run headers)", async () => {
    const all = await headers();
    for (const { path, text } of all) expect(readFileSync(folder + path, "utf8"), path).toBe(text);
    const there = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((f) => f.endsWith(".h"));
    expect(there.sort()).toEqual(all.map((h) => h.path).sort());
  });

  test.skipIf(!gcc)("compile together, every offset and size asserted, and their constants assemble", async () => {
    const include = (await headers()).map((h) => `#include <xen/${h.path}>\n`).join("");
    const compile = (language: string, input: string) =>
      spawnSync(
        "gcc",
        ["-x", language, "-c", "-Wall", "-Werror", "-ffreestanding", "-I", `${folder}..`, "-o", "/dev/null", "-"],
        {
          input,
          encoding: "utf8",
        },
      );
    expect(compile("c", include).stderr).toBe("");
    expect(compile("assembler-with-cpp", `${include}\n.quad HYPERVISOR_VIRT_START, __HYPERVISOR_iret\n`).stderr).toBe(
      "",
    );
    expect(compile("c", `${include}_Static_assert(sizeof(struct vcpu_info) == 63, "must fail");`).status).not.toBe(0);
  });
});
