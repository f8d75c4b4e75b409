// Kernel images: what is read from good ones, and one clear sentence for each bad one.

import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseKernelImage } from "../../../dom0/toolstack/kernel_image.ts";
import { imagePath, missingImages } from "../../../scripts/images/folder.ts";
import { BASIC_NOTES, buildElf, join, kernelElf, note, type TestElf, type TestSegment } from "./elf_builder.ts";

const text = (s: string): Uint8Array => new TextEncoder().encode(s);
const page = (paddr: bigint, size = 4096): TestSegment => ({ paddr, data: new Uint8Array(size) });
const notes: TestSegment = { type: 4, data: BASIC_NOTES, memSize: 0n };

describe("a good kernel image", () => {
  it("without address notes starts at virtual 0 and enters where the ELF says", () => {
    expect(parseKernelImage(kernelElf())).toMatchObject({
      virtBase: 0n,
      virtEntry: 0x100000n,
      start: 0x100000,
      end: 0x101000,
      hypercallPfn: undefined,
      p2mBase: undefined,
      unmappedRamdisk: false,
    });
  });

  it("is placed by its notes", () => {
    const base = 0xffffffff80000000n;
    const all = join(
      BASIC_NOTES,
      note(3, base),
      note(1, base + 0x100010n),
      note(2, base + 0x100000n),
      note(15, 0x8000000000n),
      note(16, new Uint8Array([1, 0, 0, 0])),
      note(99, "unknown"),
      note(1, 77n, "GNU"),
    );
    expect(parseKernelImage(kernelElf({}, all))).toMatchObject({
      virtBase: base,
      virtEntry: base + 0x100010n,
      hypercallPfn: 0x100,
      p2mBase: 0x8000000000n,
      unmappedRamdisk: true,
    });
  });

  it("takes an entry and a base of 0 as given, not as absent", () => {
    const image = parseKernelImage(
      buildElf({
        entry: 0x1234n,
        segments: [page(0n), { type: 4, data: join(BASIC_NOTES, note(1, 0n), note(3, 0n)), memSize: 0n }],
      }),
    );
    expect(image).toMatchObject({ virtEntry: 0n, virtBase: 0n });
  });

  it("may have two segments that share a page, and zeros after a segment's bytes", () => {
    const image = parseKernelImage(
      buildElf({ segments: [{ ...page(0x800n, 0x100), memSize: 0x800n }, page(0n, 0x800), notes] }),
    );
    expect(image.segments.map((s) => [s.address, s.data.length, s.memSize])).toEqual([
      [0, 0x800, 0x800],
      [0x800, 0x100, 0x800],
    ]);
  });

  it("may carry its notes in sections, or as the older string", () => {
    const inSections: TestElf = { segments: [page(0n)], sections: [{ name: ".notes", type: 7, data: BASIC_NOTES }] };
    expect(parseKernelImage(buildElf(inSections)).virtBase).toBe(0n);
    const old = "GUEST_OS=linux,XEN_VER=xen-3.0,VIRT_BASE=0xffffffff80000000,HYPERCALL_PAGE=0x1,LOADER=generic";
    const older: TestElf = {
      entry: 0xffffffff80000000n,
      segments: [page(0xffffffff80000000n, 8192)],
      sections: [{ name: "__xen_guest", type: 1, data: text(`${old}\0`) }],
    };
    expect(parseKernelImage(buildElf(older))).toMatchObject({
      start: 0,
      virtBase: 0xffffffff80000000n,
      hypercallPfn: 1,
    });
  });
});

describe("a bad kernel image", () => {
  const two = (a: TestSegment, b: TestSegment): Uint8Array => buildElf({ segments: [a, b, notes] });
  it.each<[string, Uint8Array, string]>([
    ["an empty file", new Uint8Array(0), "is empty"],
    ["a text file", text("#!/bin/sh\necho hello\n"), "is not an ELF file"],
    ["three bytes", text("\x7fEL"), "is not an ELF file"],
    ["a 32-bit file", kernelElf({ class: 1, machine: 3 }), "is a 32-bit ELF file"],
    ["a 32-bit file cut short", kernelElf({ class: 1, cut: 20 }), "is a 32-bit ELF file"],
    ["big-endian", kernelElf({ endian: 2 }), "is a big-endian ELF file"],
    ["another machine", kernelElf({ machine: 183 }), "is for machine AArch64; only x86-64 kernels run here"],
    ["an unknown machine", kernelElf({ machine: 999 }), "is for machine number 999"],
    ["an object file", kernelElf({ type: 1 }), "is an object file that was never linked"],
    ["half a header", kernelElf({ cut: 40 }), "is truncated: the ELF header is incomplete"],
    ["cut program headers", kernelElf({ cut: 100 }), "is truncated: program headers end at byte 176, the file at 100"],
    ["cut segment", kernelElf({ cut: 1000 }), "is truncated: segment 0 ends at byte 4272, the file at 1000"],
    ["offset that wraps", two({ ...page(0n), offset: 2n ** 64n - 1n }, page(0x10000n)), "is truncated: segment 0 ends"],
    ["no segments", buildElf({}), "has no program headers, so there is nothing to load"],
    ["notes only", buildElf({ segments: [notes] }), "has no loadable segment"],
    [
      "more file than memory",
      two({ ...page(0n), memSize: 5n }, page(0x10000n)),
      "has more bytes in the file than in memory",
    ],
    ["no notes", buildElf({ segments: [page(0n)] }), "has no Xen notes, so it is not a kernel for Xen PV"],
    ["only others' notes", kernelElf({}, note(3, 1n, "GNU")), "has no Xen notes"],
    ["a note that runs out", kernelElf({}, new Uint8Array(16).fill(0xff)), "has no Xen notes"],
    ["an odd number note", kernelElf({}, join(BASIC_NOTES, note(3, "abc!!"))), "note VIRT_BASE has 6 bytes"],
    ["another Xen", kernelElf({}, join(note(8, "generic"), note(5, "xen-9"))), 'is built for Xen "xen-9"'],
    ["another loader", kernelElf({}, join(note(8, "odd"), note(5, "xen-3.0"))), 'is built for loader "odd"'],
    ["overlap", two(page(0n), page(4095n)), "segments overlap: one at physical 0x0 runs into the one at 0xfff"],
    ["outside memory", two(page(2n ** 60n), page(0n)), "has a segment outside memory: physical 0x1000000000000000"],
    ["a huge segment", two({ ...page(0n), memSize: 2n ** 63n }, page(8192n)), "segment 0 lies outside memory"],
    ["memory that wraps", two({ ...page(2n ** 64n - 2n) }, page(0n)), "segment 0 lies outside memory"],
    [
      "below the paddr offset",
      kernelElf({}, join(BASIC_NOTES, note(3, 0n), note(4, 0x200000n))),
      "segment outside memory",
    ],
    [
      "offset without base",
      kernelElf({}, join(BASIC_NOTES, note(4, 1n))),
      "has the note PADDR_OFFSET without VIRT_BASE",
    ],
    [
      "entry outside",
      kernelElf({ entry: 0x200000n }),
      "has its entry 0x200000 outside the image, 0x100000 to 0x101000",
    ],
    ["odd base", kernelElf({}, join(BASIC_NOTES, note(3, 5n))), "not at the start of a page"],
    ["base not canonical", kernelElf({}, join(BASIC_NOTES, note(3, 1n << 50n))), "which no x86-64 program can use"],
    [
      "base that wraps",
      kernelElf({}, join(BASIC_NOTES, note(3, 2n ** 64n - 4096n))),
      "which no x86-64 program can use",
    ],
    [
      "Xen's own range",
      kernelElf({}, join(BASIC_NOTES, note(3, 0xffff800000000000n))),
      "in the range that is Xen's own",
    ],
    [
      "hypercall page outside",
      kernelElf({}, join(BASIC_NOTES, note(2, 0x900000n))),
      "has its hypercall page 0x900000 outside",
    ],
    [
      "hypercall page odd",
      kernelElf({}, join(BASIC_NOTES, note(2, 0x100004n))),
      "has its hypercall page at 0x100004, not",
    ],
  ])("is refused: %s", (_, bytes, message) => {
    expect(() => parseKernelImage(bytes)).toThrow(expect.objectContaining({ name: "ImageError" }));
    expect(() => parseKernelImage(bytes)).toThrow(message);
  });

  it("gives its own error and no other, whatever bytes are changed", () => {
    const good = kernelElf({ sections: [{ name: "__xen_guest", type: 1, data: text("VIRT_BASE=1\0") }] });
    const change = fc.tuple(fc.nat(400), fc.constantFrom(0, 1, 2, 4, 7, 0x7f, 0x80, 0xff));
    fc.assert(
      fc.property(fc.array(change, { maxLength: 12 }), fc.nat(good.length), (changes, cut) => {
        const bytes = good.slice(0, cut % 3 === 0 ? cut : good.length);
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        try {
          parseKernelImage(bytes);
        } catch (e) {
          expect((e as Error).name).toBe("ImageError");
          expect((e as Error).message).not.toContain("\n");
        }
      }),
      { numRuns: 2000 },
    );
  });
});

// Facts that hold for every version of these packages.
const missing = missingImages(["vmlinux", "grub"]);
describe(`kernels of others${missing.length ? ` (those skipped are not there: npm run images)` : ""}`, () => {
  it.skipIf(missing.includes("vmlinux"))("Debian's Linux", () => {
    const image = parseKernelImage(readFileSync(imagePath("vmlinux")));
    expect(image).toMatchObject({
      virtBase: 0xffffffff80000000n,
      start: 0x1000000,
      p2mBase: 0x8000000000n,
      unmappedRamdisk: true,
      hypercallPfn: undefined,
    });
    expect(image.virtEntry).toBeGreaterThan(0xffffffff81000000n);
  });
  it.skipIf(missing.includes("grub"))("GRUB for Xen", () => {
    const image = parseKernelImage(readFileSync(imagePath("grub")));
    expect(image).toMatchObject({ virtBase: 0n, virtEntry: 0n, start: 0 });
    expect(image.segments).toHaveLength(2);
  });
});
