// Debian's Linux as a domU, from `xl create` to the line that its init prints, beside BASELINE's figures of real Xen under
// QEMU; and what the time went into: instructions, the parts of the machine, hypercalls by kind (`--profile`, which costs
// under 1%). Needs the images of `npm run images`; without them it says so and has no rows.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ProfileFile } from "../../dom0/host/worker.ts";
import { IMAGE_FILES, type ImageName, imagePath, missingImages } from "../images/folder.ts";
import { INIT_MARKER } from "../images/initramfs.ts";
import type { Bench, Context, Row } from "./form.ts";
import { timedSession } from "./session.ts";

/** Seconds that real Xen took, the better of the two versions of QEMU. */
const KERNELS: readonly { image: ImageName; name: string; baseline: number }[] = [
  { image: "vmlinux", name: "vmlinux", baseline: 4.9 },
  { image: "vmlinuz", name: "bzImage", baseline: 8.4 },
];
const LIMIT_MS = 300_000;
/** What took less than this is summed up. */
const LEAST_MS = 10;

interface Boot {
  readonly ms: number;
  readonly cpuMs: number | undefined;
  readonly profile: ProfileFile;
}

export const run: Bench = async (context) => {
  const missing = missingImages([...KERNELS.map(({ image }) => image), "report"]);
  if (missing.length > 0) {
    context.note(`no ${missing.map((name) => IMAGE_FILES[name]).join(", ")}: npm run images`);
    return [];
  }
  const rows: Row[] = [];
  const boots: Boot[] = [];
  for (const { image, name, baseline } of KERNELS) {
    const made = await boot(image);
    boots.push(made);
    const value = context.calibrated(made.ms / 1000);
    rows.push({ name: `xl create to init, ${name}`, value, unit: "s", baseline, ratio: baseline / value });
    if (made.cpuMs !== undefined)
      rows.push({ name: "  processor time in it", value: context.calibrated(made.cpuMs / 1000), unit: "s" });
  }
  rows.push(...whereItWent(boots[0].profile, context));
  context.note(
    `what follows the times is of the whole session with ${KERNELS[0].name}, dom0's start and the end included`,
  );
  return rows;
};

/** One machine that boots Linux once and ends. */
async function boot(image: ImageName): Promise<Boot> {
  const folder = mkdtempSync(join(tmpdir(), "bench-linux-"));
  try {
    const config = join(folder, "linux.cfg");
    const values = { name: "linux", kernel: imagePath(image), ramdisk: imagePath("report"), extra: "console=hvc0" };
    const lines = Object.entries({ ...values, memory: 256, vcpus: 1 }).map(([k, v]) => `${k} = ${JSON.stringify(v)}\n`);
    writeFileSync(config, lines.join(""));
    const profile = join(folder, "profile.json");
    const begin = /^Parsing config from/m;
    const marker = new RegExp(`^${INIT_MARKER}$`, "m");
    const { seen, output } = await timedSession([`xl create -c ${config}`], [begin, marker], LIMIT_MS, [
      "--profile",
      profile,
    ]);
    const [from, to] = seen;
    if (from === undefined || to === undefined) throw new Error(`Linux did not get to init:\n${output.slice(-2000)}`);
    return {
      ms: to.ms - from.ms,
      cpuMs: to.cpuMs === undefined || from.cpuMs === undefined ? undefined : to.cpuMs - from.cpuMs,
      profile: JSON.parse(readFileSync(profile, "utf8")) as ProfileFile,
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function whereItWent({ instructions, activities }: ProfileFile, context: Context): Row[] {
  const interpreter = activities.find(({ name }) => name === "interpreter")?.ms ?? 0;
  const ms = (name: string, value: number): Row => ({ name, value: context.calibrated(value), unit: "ms" });
  const small = activities.filter((activity) => activity.ms < LEAST_MS);
  return [
    { name: "instructions retired", value: instructions / 1e6, unit: "million" },
    {
      name: "speed of the interpreter",
      value: instructions / 1e3 / context.calibrated(interpreter),
      unit: "million/s",
    },
    ...activities
      .filter((activity) => activity.ms >= LEAST_MS)
      .map(({ name, count, ms: value }) => ms(`${name} (${count})`, value)),
    ms(
      "all else",
      small.reduce((sum, activity) => sum + activity.ms, 0),
    ),
  ];
}
