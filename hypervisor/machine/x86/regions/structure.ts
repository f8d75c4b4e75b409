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

  const { count } = graph;
  const scratch = { index: new Int32Array(count), low: new Int32Array(count), open: new Uint8Array(count) };
  /** By node: the number of the innermost split that it is in; and is it a head, so that edges to it are removed? */
  const inside = new Int32Array(count);
  const removed = new Uint8Array(count);
  let splits = 0;

  const split = (within: readonly number[]): Item[] => {
    const number = ++splits;
    for (const node of within) inside[node] = number;
    const next = (node: number): number[] =>
      graph.next(node).filter((target) => inside[target] === number && removed[target] === 0);
    return components(within, next, scratch).map((component): Item => {
      const [only] = component;
      if (component.length === 1 && !next(only).includes(only)) return { kind: "block", node: only };
      const members = new Set(component);
      const entered = component.filter((node) => entries.has(node));
      const heads = new Set(component.filter((node) => before[node].some((from) => !members.has(from))));
      // When nothing within the region leads into it, any of its nodes will do.
      if (heads.size === 0) heads.add(Math.min(...(entered.length > 0 ? entered : component)));
      const doors = [...new Set([...heads, ...entered])];
      for (const head of heads) removed[head] = 1;
      return { kind: "loop", heads, doors, nodes: members, items: split(component) };
    });
  };
  return split(nodes);
}

/** Strongly connected components in topological order (Tarjan, without recursion). `scratch` has room for all nodes. */
function components(
  nodes: readonly number[],
  next: (node: number) => readonly number[],
  scratch: { readonly index: Int32Array; readonly low: Int32Array; readonly open: Uint8Array },
): number[][] {
  const { index, low, open } = scratch;
  for (const node of nodes) index[node] = 0;
  let visited = 0;
  const stack: number[] = [];
  const found: number[][] = [];
  const work: { readonly node: number; readonly next: readonly number[]; at: number }[] = [];
  const visit = (node: number): void => {
    index[node] = low[node] = ++visited;
    stack.push(node);
    open[node] = 1;
    work.push({ node, next: next(node), at: 0 });
  };
  for (const root of nodes) {
    if (index[root] !== 0) continue;
    visit(root);
    for (let frame = work.at(-1); frame; frame = work.at(-1)) {
      const { node } = frame;
      if (frame.at < frame.next.length) {
        const target = frame.next[frame.at++];
        if (index[target] === 0) visit(target);
        else if (open[target]) low[node] = Math.min(low[node], index[target]);
        continue;
      }
      work.pop();
      const parent = work.at(-1)?.node;
      if (parent !== undefined) low[parent] = Math.min(low[parent], low[node]);
      if (low[node] !== index[node]) continue;
      const component: number[] = [];
      for (let member = -1; member !== node; ) {
        member = stack.pop() as number;
        open[member] = 0;
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
