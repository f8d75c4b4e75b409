// Unpacked kernels are kept by what they were unpacked from, and what a store gives back is checked.

import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import { folderStore, kernelCacheFolder } from "../../../../dom0/toolstack/image/folder_store.ts";
import {
  contentHash,
  ImageError,
  type ImageStore,
  openCached,
  sealForCache,
  unpackCached,
} from "../../../../dom0/toolstack/image/index.ts";
import { sha256 } from "../../../../dom0/toolstack/image/sha256.ts";
import { vector } from "./helpers.ts";
import { original } from "./vectors/original.ts";

class MapStore implements ImageStore {
  readonly map = new Map<string, Uint8Array>();
  puts = 0;
  get(key: string) {
    return this.map.get(key);
  }
  put(key: string, bytes: Uint8Array) {
    this.puts++;
    this.map.set(key, bytes);
  }
}

const packed = vector("kernel.xz");
const plain = original();
const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

test("SHA-256 is node:crypto's", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      expect(Buffer.from(sha256(bytes)).toString("hex")).toBe(createHash("sha256").update(bytes).digest("hex"));
    }),
  );
});

test("a second unpacking comes from the store", () => {
  const store = new MapStore();
  expect(Buffer.compare(unpackCached(packed, store), plain)).toBe(0);
  const key = createHash("sha256").update(packed).digest("hex");
  expect([...store.map.keys()]).toEqual([key]);
  // Told apart by what the store holds: another ELF under the same name comes back as it is.
  const other = plain.slice();
  other[100] ^= 1;
  store.map.set(key, sealForCache(other));
  expect(Buffer.compare(unpackCached(packed, store), other)).toBe(0);
  expect(store.puts).toBe(1);
});

test("a stored image that was cut off or changed is unpacked anew", () => {
  const store = new MapStore();
  const key = contentHash(packed);
  const sealed = sealForCache(plain);
  const changed = sealed.slice();
  changed[5000] ^= 4;
  for (const bad of [sealed.subarray(0, sealed.length - 1), sealed.subarray(0, 9), new Uint8Array(0), changed]) {
    store.map.set(key, bad);
    expect(Buffer.compare(unpackCached(packed, store), plain)).toBe(0);
    expect(openCached(store.map.get(key)!)).toEqual(plain);
  }
});

test("an ELF file isn't stored, and neither is what can't be unpacked", () => {
  const store = new MapStore();
  expect(unpackCached(plain, store)).toBe(plain);
  expect(() => unpackCached(packed.subarray(0, 5000), store)).toThrow(ImageError);
  expect(store.puts).toBe(0);
});

test("a folder keeps images, whole or not at all", () => {
  const folder = join(mkdtempSync(join(tmpdir(), "cache-")), "kernels");
  folders.push(folder);
  const store = folderStore(folder);
  unpackCached(packed, store);
  expect(readdirSync(folder)).toEqual([contentHash(packed)]);
  expect(Buffer.compare(openCached(store.get(contentHash(packed))!)!, plain)).toBe(0);
  truncateSync(join(folder, contentHash(packed)), 4000);
  expect(Buffer.compare(unpackCached(packed, store), plain)).toBe(0);
});

test("a folder that can't be made only costs time", () => {
  const file = join(mkdtempSync(join(tmpdir(), "cache-")), "file");
  folders.push(file);
  writeFileSync(file, "");
  expect(Buffer.compare(unpackCached(packed, folderStore(join(file, "kernels"))), plain)).toBe(0);
});

test("the cache folder follows XDG_CACHE_HOME", () => {
  expect(kernelCacheFolder({ XDG_CACHE_HOME: "/x" })).toBe(join("/x", "xenolith", "kernels"));
});
