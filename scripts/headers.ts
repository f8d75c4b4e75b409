// `npm run headers`: writes guests/include/xen/ anew from shared/abi/. The result is committed, so that building a guest
// needs a C compiler only; a test fails when it is not what this script would write.

import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { headers } from "./headers/generate.ts";

const target = fileURLToPath(new URL("../guests/include/xen/", import.meta.url));
rmSync(target, { recursive: true, force: true });
const all = await headers();
for (const { path, text } of all) {
  const file = join(target, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}
console.log(`${all.length} headers in guests/include/xen`);
