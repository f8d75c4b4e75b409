// The store's tree as a persistent structure: a change makes a new root that shares all that is unchanged, so that a
// transaction's copy of the whole store costs nothing. Used by draft.ts. Children keep the order in which they were made.

export interface Node<P> {
  readonly value: string;
  readonly perms: P;
  readonly children: ReadonlyMap<string, Node<P>>;
  /** Changes with the value, the permissions and the set of children; not with what lies below a child. */
  readonly generation: number;
}

/** The node at `path`, undefined when there is none. */
export function find<P>(root: Node<P>, path: readonly string[]): Node<P> | undefined {
  let node: Node<P> | undefined = root;
  for (const name of path) {
    node = node.children.get(name);
    if (node === undefined) return undefined;
  }
  return node;
}

/** How many components of `path` exist. */
export function depthOf<P>(root: Node<P>, path: readonly string[]): number {
  let node = root;
  for (let i = 0; i < path.length; i++) {
    const next = node.children.get(path[i]);
    if (next === undefined) return i;
    node = next;
  }
  return path.length;
}

/**
 * A root with `node` at `path` (undefined: nothing there), whose parent must exist. The parent takes `generation` when its
 * set of children changes.
 */
export function replace<P>(
  root: Node<P>,
  path: readonly string[],
  node: Node<P> | undefined,
  generation: number,
  depth = 0,
): Node<P> {
  if (depth === path.length) return node ?? root;
  const name = path[depth];
  const child = root.children.get(name);
  const children = new Map(root.children);
  if (depth < path.length - 1) {
    if (child === undefined) throw new Error(`no node ${path.slice(0, depth + 1).join("/")}`);
    children.set(name, replace(child, path, node, generation, depth + 1));
    return { ...root, children };
  }
  if (node === undefined) children.delete(name);
  else children.set(name, node);
  const sameChildren = (child === undefined) === (node === undefined);
  return { ...root, children, generation: sameChildren ? root.generation : generation };
}

/** Calls `visit` for `node` and all below, with their paths; a node before its children. */
export function walk<P>(node: Node<P>, path: string, visit: (path: string, node: Node<P>) => void): void {
  visit(path, node);
  for (const [name, child] of node.children) walk(child, path === "/" ? `/${name}` : `${path}/${name}`, visit);
}
