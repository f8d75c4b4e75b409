// Lets this machine's own processor execute cases: compiles run.c once into a temporary folder and passes it records.
// Called by scripts/vectors.ts. Needs gcc on x86-64 Linux; throws with the compiler's words where there is none.

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  copyState,
  DATA_SIZE,
  FIXED_FLAGS,
  FLAGS,
  FX_SIZE,
  Place,
  type State,
  type Vector,
} from "../../tests/vectors/format.ts";
import type { Case } from "./generate.ts";

const IN_SIZE = 18 * 8 + DATA_SIZE + 512 + 16;
const OUT_SIZE = 21 * 8 + DATA_SIZE + 512;
const BATCH = 1000;

/** Numbers that Linux gives a signal handler for the end of a single step. */
const TRAP_STEP = 1;
const TRAP_PAGE_FAULT = 14;

export class Native {
  readonly #folder = mkdtempSync(join(tmpdir(), "vectors-"));
  readonly #runner = join(this.#folder, "run");

  constructor() {
    const source = fileURLToPath(new URL("run.c", import.meta.url));
    execFileSync("gcc", ["-O2", "-w", "-o", this.#runner, source]);
  }

  close(): void {
    rmSync(this.#folder, { recursive: true });
  }

  /** What the hardware makes of each case, in order. */
  run(cases: readonly Case[]): Vector[] {
    const vectors: Vector[] = [];
    for (let from = 0; from < cases.length; from += BATCH) {
      const batch = cases.slice(from, from + BATCH);
      const input = Buffer.alloc(batch.length * IN_SIZE);
      for (const [i, one] of batch.entries()) write(input, i * IN_SIZE, one);
      const { stdout, stderr, status, signal } = spawnSync(this.#runner, {
        input,
        maxBuffer: batch.length * OUT_SIZE + 1,
      });
      if (status !== 0 || stdout.length !== batch.length * OUT_SIZE) {
        const at = batch[Math.floor(stdout.length / OUT_SIZE)];
        const code = Buffer.from(at?.code ?? []).toString("hex");
        throw new Error(`native run: status ${status} ${signal ?? ""} near ${at?.form.name} ${code} ${stderr}`);
      }
      for (const [i, one] of batch.entries()) vectors.push(read(stdout, i * OUT_SIZE, one));
    }
    return vectors;
  }
}

function write(to: Buffer, at: number, { before, code }: Case): void {
  for (let r = 0; r < 16; r++) to.writeBigUInt64LE(before.regs[r], at + r * 8);
  to.writeBigUInt64LE(BigInt(Place.rip), at + 128);
  to.writeBigUInt64LE(BigInt(before.flags), at + 136);
  to.set(before.data, at + 144);
  to.set(before.fx, at + 144 + DATA_SIZE);
  to.fill(0xcc, at + IN_SIZE - 16, at + IN_SIZE);
  to.set(code, at + IN_SIZE - 16);
}

function read(from: Buffer, at: number, { before, code, form, undefinedFlags }: Case): Vector {
  const after: State = copyState(before);
  for (let r = 0; r < 16; r++) after.regs[r] = from.readBigUInt64LE(at + r * 8);
  const ip = BigInt.asIntN(64, from.readBigUInt64LE(at + 128) - BigInt(Place.rip));
  after.flags = (Number(from.readBigUInt64LE(at + 136)) & FLAGS) | FIXED_FLAGS;
  const vector = Number(from.readBigUInt64LE(at + 144));
  const error = Number(from.readBigUInt64LE(at + 152));
  const cr2 = from.readBigUInt64LE(at + 160);
  after.data.set(from.subarray(at + 168, at + 168 + DATA_SIZE));
  const fx = at + 168 + DATA_SIZE;
  if (form.fx) {
    after.fx.set(from.subarray(fx, fx + FX_SIZE));
    // Instruction and operand pointers, which makers keep differently, and the constant mask of MXCSR.
    after.fx.set(before.fx.subarray(5, 24), 5);
    after.fx.set(before.fx.subarray(28, 32), 28);
  }
  const result: Vector = { code, before, after, ip, undefinedFlags };
  if (vector === TRAP_PAGE_FAULT) result.trap = { vector, error, cr2 };
  else if (vector !== TRAP_STEP) result.trap = { vector, error };
  else if (form.name === "pushf") {
    // The trap flag by which the instruction was stepped is in what it pushed.
    const place = Number(after.regs[4]) + 1 - Place.data;
    if (place >= 0 && place < DATA_SIZE) after.data[place] &= ~1;
  }
  return result;
}
