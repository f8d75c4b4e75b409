// The module that regions' functions are in: its imports, and the section that tells the engine which branches are hardly
// ever taken (WebAssembly's branch hinting proposal; an engine that doesn't know it ignores it). Used by cache.ts.

import { I32, I64, ModuleBuilder, type ValType } from "../wasm.ts";
import type { RegionHelpers } from "./builder.ts";
import type { RegionCode } from "./compile.ts";

const IMPORTS: readonly [string, readonly ValType[], readonly ValType[]][] = [
  ["regionPage", [I64, I32], [I32]],
  ["eager", [], []],
  ["parity", [], [I32]],
  ["getFlags", [], [I32]],
  ["setFlags", [I32, I32], []],
];

/** Indexes of the imports; what a region has no use for is not among them. */
export const HELPERS: RegionHelpers = {
  page: 0,
  eager: 1,
  parity: 2,
  getFlags: 3,
  setFlags: 4,
  readable: 0,
  writable: 0,
  commit: 0,
  address: 0,
  host: 0,
};

/** A module with the functions as exports r0, r1, ... */
export function regionModule(memoryPages: number, regions: readonly RegionCode[]): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder(memoryPages);
  for (const [name, params, results] of IMPORTS) module.importFunction(name, params, results);
  regions.forEach(({ locals, code, unlikely }, i) => {
    module.func(module.type([I32, I32], [I32]), locals, code, `r${i}`, unlikely);
  });
  return module.build();
}
