// The image of a kernel in JavaScript, as it lies in its domain's memory (shared/kernel.ts says what such a kernel is). The
// toolstack writes it, as it writes an ELF image's segments: at page frame 0, mapped at the beginning of the kernel's
// memory. `XEN_DOMCTL_script` then tells the hypervisor how the domain is run: its vcpu enters at the header's address, and
// what executes there is not machine code but the text. Used by the toolstack and by the processor (machine/ts/script.ts).
//
// The text is the body of a function of `module` and `exports`, that sets `module.exports.default` to a KernelMain: what
// bundlers call CommonJS, without imports. So nothing of a kernel lies outside of its domain but what runs.

import { bytes, chars, struct, u32 } from "./abi/struct.ts";

/**
 * domctl, an extension, beyond all numbers of Xen's: the domain, which must have one vcpu and no context yet, is run from a
 * script image. No argument. -EOPNOTSUPP on a machine that runs no such kernels, -EINVAL for another domain.
 */
export const XEN_DOMCTL_script = 2000;

export const SCRIPT_MAGIC = "xenolith-script";
/** Longer images are refused: such a text would hold up the machine while it is read. */
export const MAX_SCRIPT_BYTES = 16 * 1024 * 1024;

/** struct script_image: then the name, then the text, both UTF-8. */
export const ScriptImage = struct("script_image", 32, {
  magic: chars(0, 16), // SCRIPT_MAGIC
  name_bytes: u32(16),
  text_bytes: u32(20),
  reserved: bytes(24, 8),
});

/** The whole image. `name` is what the text is called in stack traces. */
export function encodeScriptImage(name: string, text: Uint8Array): Uint8Array<ArrayBuffer> {
  const nameBytes = new TextEncoder().encode(name);
  const image = new Uint8Array(ScriptImage.size + nameBytes.length + text.length);
  const header = ScriptImage.at(new DataView(image.buffer));
  header.magic = SCRIPT_MAGIC;
  header.name_bytes = nameBytes.length;
  header.text_bytes = text.length;
  image.set(nameBytes, ScriptImage.size);
  image.set(text, ScriptImage.size + nameBytes.length);
  return image;
}
