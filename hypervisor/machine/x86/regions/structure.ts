// Structured control flow for a graph of blocks: WebAssembly has blocks and loops only. Strongly connected components
// become loops; one that can be entered at several blocks begins with a br_table over them, through which its own jumps
// to its heads go, too. What is left in each is without cycles and stands in topological order, a forward jump leaving a
// block that ends where its target begins. An entry from outside the region that is no head costs the loops around it
// that br_table, but not the loop of which it is the one head: the innermost loops stay tight.
// Ramsey, Beyond Relooper (ICFP 2022), has the idea for reducible graphs; taking components apart again and again, with
// the edges to their heads removed, also serves graphs that aren't. Used by compile.ts.

/** A block, or a loop over items. Numbers are those of the graph's nodes. */
export type Item = { readonly kind: "block"; readonly node: number } | Loop;

export interface Loop {
  readonly kind: "loop";
  /** Where its cycles begin: jumps to these are jumps to the loop's beginning. */
  readonly heads: ReadonlySet<number>;
  /** All nodes at which it is entered from outside, and its heads; if there is one only, it begins there. */
  readonly doors: readonly number[];
  readonly nodes: ReadonlySet<number>;
  readonly items: readonly Item[];
}

export interface Graph {
  readonly count: number;
  readonly next: (node: number) => readonly number[];
}

/** The nodes in order; `entries` can be reached from outside, so a component that holds some can be entered there. */
export function structured(graph: Graph, entries: ReadonlySet<number>): Item[] {
  const before: number[][] = Array.from({ length: graph.count }, () => []);
  for (let node = 0; node < graph.count; node++) for (const next of graph.next(node)) before[next].push(node);
  const nodes = Array.from({ length: graph.count }, (_, node) => node);

  const split = (within: readonly number[], removed: ReadonlySet<number>): Item[] => {
    const inside = new Set(within);
    const next = (node: number): number[] =>
      graph.next(node).filter((target) => inside.has(target) && !removed.has(target));
    return components(within, next).map((component): Item => {
      const [only] = component;
      if (component.length === 1 && !next(only).includes(only)) return { kind: "block", node: only };
      const members = new Set(component);
      const entered = component.filter((node) => entries.has(node));
      const heads = new Set(component.filter((node) => before[node].some((from) => !members.has(from))));
      // When nothing within the region leads into it, any of its nodes will do.
      if (heads.size === 0) heads.add(Math.min(...(entered.length > 0 ? entered : component)));
      const doors = [...new Set([...heads, ...entered])];
      const items = split(component, new Set([...removed, ...heads]));
      return { kind: "loop", heads, doors, nodes: members, items };
    });
  };
  return split(nodes, new Set());
}

/** Strongly connected components in topological order (Tarjan, without recursion). */
function components(nodes: readonly number[], next: (node: number) => readonly number[]): number[][] {
  const index = new Map<number, number>();
  const low = new Map<number, number>();
  const open = new Set<number>();
  const stack: number[] = [];
  const found: number[][] = [];
  for (const root of nodes) {
    if (index.has(root)) continue;
    const work: { node: number; next: readonly number[]; at: number }[] = [];
    const visit = (node: number): void => {
      index.set(node, index.size);
      low.set(node, index.get(node) as number);
      stack.push(node);
      open.add(node);
      work.push({ node, next: next(node), at: 0 });
    };
    visit(root);
    for (let frame = work.at(-1); frame; frame = work.at(-1)) {
      const { node } = frame;
      if (frame.at < frame.next.length) {
        const target = frame.next[frame.at++];
        if (!index.has(target)) visit(target);
        else if (open.has(target)) low.set(node, Math.min(low.get(node) as number, index.get(target) as number));
        continue;
      }
      work.pop();
      const parent = work.at(-1)?.node;
      if (parent !== undefined) low.set(parent, Math.min(low.get(parent) as number, low.get(node) as number));
      if (low.get(node) !== index.get(node)) continue;
      const component: number[] = [];
      for (let member = -1; member !== node; ) {
        member = stack.pop() as number;
        open.delete(member);
        component.push(member);
      }
      found.push(component.reverse());
    }
  }
  return found.reverse();
}

/** All heads of loops, at every depth. */
export function loopHeads(items: readonly Item[], heads: Set<number> = new Set()): Set<number> {
  for (const item of items) {
    if (item.kind === "block") continue;
    for (const head of item.heads) heads.add(head);
    loopHeads(item.items, heads);
  }
  return heads;
}
