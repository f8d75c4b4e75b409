// From the text of a script image (shared/script_image.ts) to a kernel: for createMachine's `compileKernel`. The text is
// evaluated where all of the machine's own code is: nothing confines it (docs/CAVEATS.md). Used by worker.ts and tests.

import type { CompileKernel } from "../../hypervisor/index.ts";
import type { KernelMain } from "../../shared/kernel.ts";

interface Module {
  exports: { default?: unknown };
}

/**
 * Evaluates the text, which may throw. It begins on the first line and is named by a comment, so that stack traces have its
 * lines, and by its source map those of its sources.
 */
export const compileKernel: CompileKernel = (text, name) => {
  // Indirect: in the global scope. No name may end the comment that it stands in.
  // biome-ignore lint/security/noGlobalEval: a kernel in TypeScript is the code of whoever runs the machine.
  const evaluate = globalThis.eval;
  const whole = `(function (module, exports) {${text}\n})\n//# sourceURL=${encodeURI(name)}`;
  const body = evaluate(whole) as (module: Module, exports: Module["exports"]) => void;
  const module: Module = { exports: {} };
  body(module, module.exports);
  return module.exports.default as KernelMain;
};
