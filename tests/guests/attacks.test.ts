// Each hostile guest of guests/attacks/, beside a neighbour that counts and adds up: what is seen from outside. The same
// runs as `npm run attacks`, which prints a line for each. Then hypervisors that are broken on purpose: the verdict must
// say so, or it would be worth nothing.

import { basename } from "node:path";
import { describe, expect, test } from "vitest";
import { attackFolders, LEAST_SHARE, runAttack } from "../harness/attack.ts";
import { accounted } from "../harness/attack_differences.ts";

test("there are attacks", () => {
  expect(attackFolders().length).toBeGreaterThan(15);
});

test.each(attackFolders().map((folder) => [basename(folder), folder]))("%s does no harm", (_name, folder) => {
  const v = runAttack(folder);
  expect(v.walker).toEqual([]);
  expect(v.neighbour).toEqual([]);
  expect(v.share ?? 1).toBeGreaterThan(LEAST_SHARE);
  expect(v.framesLost).toBe(0);
  expect(accounted(v)).toEqual([]);
});

describe("harm is seen", () => {
  test.each([
    ["stale", "stale: write through the old translation: no fault"],
    ["remote", "remote: vcpu 1 writes: -1"],
  ])("of translations that are not forgotten: %s", (name, line) => {
    const v = runAttack(`guests/attacks/${name}`, (hv) => {
      hv.tlb.retire = () => {};
    });
    expect(v.walker).not.toEqual([]);
    expect(accounted(v).map(([, , got]) => got)).toContain(line);
  });

  test("of frames that are handed out as they were", () => {
    const v = runAttack("guests/attacks/leak", (hv) => {
      for (let mfn = hv.frames.first as number; mfn < hv.frames.totalFrames; mfn++)
        if (hv.frames.ownerOf(mfn as never) === 0x7ff4) hv.frames.flags[mfn] = 0;
    });
    expect(accounted(v)).not.toEqual([]);
  });

  test("to the neighbour's memory", () => {
    const v = runAttack("guests/attacks/pins", (hv, neighbour) => {
      hv.memory.u8[[...neighbour.memory][1000] * 4096 + 5] ^= 1;
    });
    expect(v.neighbour).toHaveLength(1);
  });

  test("to the neighbour's share", () => {
    const v = runAttack("guests/attacks/pointers", (hv) => {
      const charge = hv.bvt.charge.bind(hv.bvt);
      hv.bvt.charge = (vcpu, ns, now) => charge(vcpu, vcpu.domain.id === 1 ? ns / 2 : ns, now);
    });
    expect(v.share).toBeLessThan(LEAST_SHARE);
  });

  test("of frames that do not come back", () => {
    const v = runAttack("guests/attacks/hog", (hv) => {
      hv.frames.freeXen = () => {};
    });
    expect(v.framesLost).toBeGreaterThan(0);
  });
});
