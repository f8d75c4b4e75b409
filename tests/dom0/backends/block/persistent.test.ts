// Persistent grants: pages stay mapped, as many as may, the last used; a frontend that breaks its promise harms itself alone.
import { describe, expect, test } from "vitest";
import { type GuestPages, PersistentPages, RequestPages } from "../../../../dom0/backends/block/guest_pages.ts";
import { BlockRequest } from "../../../../dom0/backends/block/request.ts";
import type { DmaGrants, DmaMappings, Task } from "../../../../guests/sdk/index.ts";
import type { Hypervisor } from "../../../../hypervisor/hypervisor.ts";
import { GNTST_general_error, GNTST_okay } from "../../../../shared/abi/grant_table.ts";
import type { DomId } from "../../../../shared/brand.ts";
import { withDisk } from "../../../harness/block.ts";
import { randomOf } from "../../../harness/hostile_front.ts";

/** Grants of which every reference below 100 is good: its page's address is the reference, its handle new each time. */
class ModelGrants {
  readonly mapped = new Map<number, number>();
  maps = 0;
  #next = 1;

  map(_domain: DomId, refs: readonly number[], count: number, _readonly: boolean, into: DmaMappings): number {
    if (refs.slice(0, count).some((ref) => ref >= 100)) return GNTST_general_error;
    for (let i = 0; i < count; i++) {
      into.handles[i] = this.#next++;
      into.addresses[i] = refs[i];
      this.mapped.set(into.handles[i], refs[i]);
      this.maps++;
    }
    return GNTST_okay;
  }

  unmap({ addresses, handles }: DmaMappings, first: number, count: number): number {
    for (let i = first; i < first + count; i++) {
      expect(this.mapped.get(handles[i])).toBe(addresses[i]);
      this.mapped.delete(handles[i]);
    }
    return GNTST_okay;
  }

  get refs(): number[] {
    return [...this.mapped.values()].sort((a, b) => a - b);
  }
}

function make(capacity: number): { grants: ModelGrants; pages: GuestPages } {
  const grants = new ModelGrants();
  return { grants, pages: new PersistentPages(grants as unknown as DmaGrants, 1 as DomId, capacity) };
}

function request(...refs: number[]): BlockRequest {
  const r = new BlockRequest();
  r.parts = refs.length;
  r.refs.push(...refs);
  return r;
}

describe("persistent pages", () => {
  test("are mapped once, and those not used for longest make room", () => {
    const { grants, pages } = make(4);
    const use = (...refs: number[]): void => {
      const r = request(...refs);
      const where = new RequestPages();
      expect(pages.map(r, where)).toBe(true);
      expect(where.mappings.addresses.slice(0, refs.length)).toEqual(refs);
      pages.unmap(r, where);
    };
    use(1, 2);
    use(2, 1);
    use(3, 4);
    expect([grants.maps, grants.refs]).toEqual([4, [1, 2, 3, 4]]);
    use(2);
    use(5);
    expect(grants.refs).toEqual([2, 3, 4, 5]);
    use(6, 7);
    expect(grants.refs).toEqual([2, 5, 6, 7]);
    use(8, 8, 8);
    expect(grants.refs).toEqual([5, 6, 7, 8]);
    pages.close();
    expect(grants.refs).toEqual([]);
  });

  test("of a request with a bad grant leave nothing in use", () => {
    const { grants, pages } = make(2);
    expect(pages.map(request(1, 100), new RequestPages())).toBe(false);
    const good = new RequestPages();
    expect(pages.map(request(1, 2), good)).toBe(true);
    expect(pages.map(request(1, 2, 200), new RequestPages())).toBe(false);
    pages.unmap(request(1, 2), good);
    expect(pages.map(request(3, 4), new RequestPages())).toBe(true);
    expect(grants.refs).toEqual([3, 4]);
  });

  test.each([1, 2, 3])("in use stay mapped, and never more than there is room for (seed %i)", (seed) => {
    const random = randomOf(seed);
    const below = (n: number): number => Math.floor(random() * n);
    const { grants, pages } = make(12);
    const under: { r: BlockRequest; where: RequestPages }[] = [];
    for (let i = 0; i < 3000; i++) {
      const used = under.reduce((sum, { r }) => sum + r.parts, 0);
      if (under.length > 0 && (used > 8 || random() < 0.5)) {
        const [{ r, where }] = under.splice(below(under.length), 1);
        pages.unmap(r, where);
      } else {
        const r = request(...Array.from({ length: 1 + below(4) }, () => below(30)));
        const where = new RequestPages();
        if (random() < 0.1) r.refs[below(r.parts)] = 100;
        if (pages.map(r, where)) under.push({ r, where });
        else expect(r.refs).toContain(100);
      }
      expect(grants.mapped.size).toBeLessThanOrEqual(12);
      const refs = new Set(grants.refs);
      for (const { r, where } of under) {
        expect(where.mappings.addresses.slice(0, r.parts)).toEqual(r.refs);
        expect(r.refs.every((ref) => refs.has(ref))).toBe(true);
      }
    }
    expect(grants.refs.length).toBe(new Set(grants.refs).size);
  });
});

describe("a frontend with persistent grants", () => {
  /** Grants that dom0 has mapped, its rings among them. */
  const mapped = (hv: Hypervisor): number =>
    hv.find(0 as DomId)!.grants.maptrack.flags.filter((flags) => flags !== 0).length;

  test("has its pages mapped once, and none when it is gone; without them for each request", () => {
    let hv!: Hypervisor;
    const seen: number[] = [];
    withDisk(
      function* (rig): Task {
        yield* rig.attach("disk");
        for (const persistent of [true, false]) {
          const before = mapped(hv);
          const front = yield* rig.connect(51712, 1, persistent);
          const ring = mapped(hv) - before;
          const buffer = front.buffer(40);
          for (let i = 0; i < 5; i++) yield* front.write(i * 8, buffer, 0, 40 * 4096);
          seen.push(ring, mapped(hv) - before - ring);
          buffer.free();
          // What is given back is taken again: grants and all.
          const again = front.buffer(40);
          expect(again.pages.bytes.every((byte) => byte === 0)).toBe(true);
          yield* front.read(0, again, 0, 40 * 4096);
          seen.push(mapped(hv) - before - ring);
          again.free();
          yield* front.close();
          seen.push(mapped(hv) - before);
          rig.xs.write("/local/domain/0/device/vbd/51712/state", "1");
          yield* rig.store.waitFor("/local/domain/0/backend/vbd/0/51712/state", ["2"]);
        }
      },
      { disk: new Uint8Array(1 << 20) },
      (machine) => {
        hv = machine.machine.hv;
      },
    );
    expect(seen).toEqual([1, 40, 40, 0, 1, 0, 0, 0]);
  });

  test("that names another page by a grant in use finds its data in the first one, and no harm is done", () => {
    let hv!: Hypervisor;
    withDisk(
      function* (rig): Task {
        yield* rig.attach("disk");
        const front = yield* rig.connect();
        const buffer = front.buffer(1);
        const other = rig.kernel.allocPages(1);
        other.bytes.fill(0xcc);
        yield* front.read(0, buffer, 0, 4096);
        expect(buffer.pages.bytes[0]).toBe(0x11);
        hv.find(0 as DomId)!.grants.setFrame(buffer.refs[0], other.mfn);
        buffer.pages.bytes.fill(0);
        yield* front.read(0, buffer, 0, 4096);
        expect([buffer.pages.bytes[0], other.bytes[0]]).toEqual([0x11, 0xcc]);
        expect(rig.kernel.grants.endAccess(buffer.refs[0])).toBe(false);
        yield* front.close();
        expect(buffer.pages.bytes[0]).toBe(0x11);
        buffer.free();
        other.free();
      },
      { disk: new Uint8Array(4096).fill(0x11) },
      (machine) => {
        hv = machine.machine.hv;
      },
    );
  });
});
