// Text of an instruction, for the log of unsupported ones and for traces, by iced-x86. That library is large, so that it
// is loaded when it is first needed.

import type { Decoder, Formatter } from "iced-x86";

type Iced = typeof import("iced-x86");
let iced: Iced | undefined;
let loading: Promise<Iced> | undefined;

let loader: (() => Iced) | undefined;

/** How to load it at once, where the host can: a machine's thread that never returns to its event loop can't wait. */
export function setDisassemblerLoader(load: () => unknown): void {
  loader = load as () => Iced;
}

/** Loads the disassembler; afterwards `disassemble` gives text. */
export async function loadDisassembler(): Promise<void> {
  loading ??= import("iced-x86");
  iced = await loading;
}

/** The instruction at full address `rip` in Intel's notation, or its bytes when the disassembler isn't loaded. */
export function disassemble(bytes: Uint8Array, rip: bigint): string {
  iced ??= loader?.();
  if (!iced) return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  const decoder: Decoder = new iced.Decoder(64, bytes, iced.DecoderOptions.None);
  const formatter: Formatter = new iced.Formatter(iced.FormatterSyntax.Intel);
  decoder.ip = rip;
  const instruction = decoder.decode();
  const text = formatter.format(instruction);
  instruction.free();
  formatter.free();
  decoder.free();
  return text;
}

/** Calls back with the text, at once if the disassembler is there. */
export function disassembleSoon(bytes: Uint8Array, rip: bigint, done: (text: string) => void): void {
  iced ??= loader?.();
  if (iced) done(disassemble(bytes, rip));
  else
    loadDisassembler().then(
      () => done(disassemble(bytes, rip)),
      () => done("(no disassembler)"),
    );
}
