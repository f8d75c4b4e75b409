// The rules of STYLE 2, 3 and 8 and of DESIGN's principle 6, held against the sources themselves: who imports whom, nothing
// from Node below dom0, no file too long, each with its head, and the core small.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, test } from "vitest";

const ROOT = resolve(import.meta.dirname, "..");
const LAYERS = ["shared", "hypervisor", "guests", "dom0"] as const;
const MAX_LINES = 500;
const MAX_CORE_LINES = 8000;

interface Source {
  /** Path from the top, with slashes. */
  readonly path: string;
  readonly text: string;
}

function sources(folder: string): Source[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => {
      const file = join(entry.parentPath, entry.name);
      return { path: relative(ROOT, file).replaceAll("\\", "/"), text: readFileSync(file, "utf8") };
    });
}

const all = LAYERS.flatMap((layer) => sources(layer));
const everything = [...all, ...sources("tests"), ...sources("scripts")];

/** What a file imports: a path from the top, or the name of a package. */
function imports({ path, text }: Source): string[] {
  const found: string[] = [];
  for (const [, name] of text.matchAll(/^\s*(?:import|export)\b[^;'"]*?["']([^"']+)["']/gm)) found.push(name);
  for (const [, name] of text.matchAll(/\bimport\(\s*["']([^"']+)["']/g)) found.push(name);
  return found.map((name) =>
    name.startsWith(".") ? relative(ROOT, resolve(ROOT, dirname(path), name)).replaceAll("\\", "/") : name,
  );
}

/** May a file at `from` import `to`? */
function allowed(from: string, to: string): boolean {
  const layer = from.split("/")[0];
  const isOurs = LAYERS.some((l) => to.startsWith(`${l}/`));
  if (!isOurs) return layer === "dom0" || !to.startsWith("node:");
  if (to.startsWith("shared/")) return true;
  switch (layer) {
    case "hypervisor":
      return to.startsWith("hypervisor/");
    case "guests":
      return to.startsWith("guests/");
    case "dom0":
      return to.startsWith("dom0/") || to.startsWith("guests/sdk/") || to === "hypervisor/index.ts";
    default:
      return false;
  }
}

/** Lines that are neither blank nor only comment. */
function codeLines(text: string): number {
  const bare = text.replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ""));
  return bare.split("\n").filter((line) => line.trim() !== "" && !line.trim().startsWith("//")).length;
}

describe("the sources", () => {
  test("are found, imports and all", () => {
    expect(all.length).toBeGreaterThan(100);
    const index = all.find((s) => s.path === "hypervisor/index.ts") as Source;
    expect(imports(index)).toContain("hypervisor/hypervisor.ts");
    expect(allowed("guests/sdk/kernel.ts", "hypervisor/index.ts")).toBe(false);
    expect(allowed("dom0/kernel.ts", "hypervisor/hypervisor.ts")).toBe(false);
    expect(allowed("shared/kernel.ts", "node:fs")).toBe(false);
  });

  test("import only what their layer may", () => {
    const wrong = all.flatMap((s) =>
      imports(s).flatMap((to) => (allowed(s.path, to) ? [] : [`${s.path} imports ${to}`])),
    );
    expect(wrong).toEqual([]);
  });

  test("reach for Node's globals nowhere below dom0", () => {
    const below = all.filter((s) => !s.path.startsWith("dom0/"));
    const wrong = below.filter((s) => /\b(?:process|Buffer|require|__dirname)\s*[.(]/.test(stripText(s.text)));
    expect(wrong.map((s) => s.path)).toEqual([]);
  });

  test(`are at most ${MAX_LINES} lines long, but for tables`, () => {
    const long = everything.filter(
      (s) => s.text.split("\n").length - 1 > MAX_LINES && !s.text.startsWith("// table\n"),
    );
    expect(long.map((s) => s.path)).toEqual([]);
  });

  test("begin with a comment that says what they are", () => {
    const bare = everything.filter((s) => !s.text.replace(/^\/\/ table\n/, "").startsWith("// "));
    expect(bare.map((s) => s.path)).toEqual([]);
  });

  test(`make a core of under ${MAX_CORE_LINES} lines`, () => {
    const core = all.filter((s) => s.path.startsWith("hypervisor/") && !s.path.startsWith("hypervisor/machine/"));
    const lines = core.reduce((sum, s) => sum + codeLines(s.text), 0);
    expect(lines).toBeGreaterThan(1000);
    expect(lines).toBeLessThan(MAX_CORE_LINES);
  });
});

/** Without comments and string literals, in which such words are harmless. */
function stripText(text: string): string {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, "")
    .replace(/\/\/.*$/gm, "")
    .replace(/"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`/g, '""');
}
