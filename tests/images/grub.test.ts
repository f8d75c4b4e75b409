// GRUB's Xen image as Debian ships it: reaches its prompt, takes commands, knows what time it is, and halts. What it prints
// is what it prints on real Xen (docs/transcripts/grub-2.06.txt), but for the date and how fast it read its configuration.

import { afterAll, describe, expect, test } from "vitest";
import { imagePath } from "../../scripts/images/folder.ts";
import { Configurations, lacking, session, transcript } from "./machine.ts";

const missing = lacking("grub");
const configurations = new Configurations();
afterAll(() => configurations.remove());

describe.skipIf(missing)(`GRUB${missing ? ` (skipped: ${missing})` : ""}`, () => {
  test("takes commands at its prompt, and halts", () => {
    const config = configurations.write("grub", { kernel: imagePath("grub"), memory: 64 });
    // Each command is sent when the prompt after the last one's answer has come.
    const said = ["help", "ls", "echo hello from grub", "date", "lsxen", "xen_nothing"];
    const answers = [
      "zfskey",
      "\\(proc\\)",
      "\\nhello from grub",
      "day",
      "find command `lsxen'",
      "find command `xen_nothing'",
    ];
    const steps = said.map((text, i) => `--send "${text}" --expect "${answers[i]}[^>]*grub> $"`);
    const started = Date.now();
    const { status, output, errors } = session([
      `xl create ${config}`,
      `xl console grub --timeout 200 --expect "grub> $" ${steps.join(" ")} --send halt --expect halt`,
      "xl console grub",
      "xl list",
    ]);
    const ended = Date.now();
    // GRUB may be gone, or be on its way, before the second console can attach: then that fails, and nothing else is wrong.
    const gone = /^(grub is an invalid domain identifier \(rc=-6\)|xl console: domain 1 has no console)$/m.test(output);
    expect({ status, errors }).toEqual({ status: gone ? 1 : 0, errors: "" });

    const date = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) [A-Z][a-z]+day$/m;
    const [said0, day, time] = date.exec(output) ?? [];
    expect(said0).toBeDefined();
    const seen = Date.parse(`${day}T${time}Z`);
    expect(seen).toBeGreaterThan(started - 2000);
    expect(seen).toBeLessThan(ended + 2000);

    const from = (text: string) =>
      text
        .slice(text.indexOf("GNU GRUB"))
        .replace(date, "DATE")
        .replace(/version \S+/, "");
    const [grub, list] = from(output).split(/grub>\s+halt/);
    expect(grub).toBe(from(transcript("grub-2.06.txt")).split(/grub>\s+halt/)[0]);
    // The domain is gone, or being taken apart.
    expect(list).toContain("Domain-0");
    expect(list).not.toMatch(/^grub .* [-r][-b][-p]-[-c]- /m);
  });
});
