// The network backend from the frontend's side: UDP, pings, DHCP and captures between interfaces of one kernel, through rings,
// grants, events and xenstore as guests have them; then receivers that stand still, limits, and devices that come and go.
import { describe, expect, test } from "vitest";
import { sleep, type Task } from "../../../../guests/sdk/index.ts";
import { dhcp, type NetStack, parseIp } from "../../../../guests/sdk/net/index.ts";
import { MASK, macOf, SELF, withNet } from "../../../harness/net.ts";

const ip = (devid: number): number => parseIp(`10.0.0.${devid + 1}`);
const text = (data: Uint8Array | undefined): string => new TextDecoder().decode(data);
const bytes = (data: string): Uint8Array => new TextEncoder().encode(data);

describe("interfaces on one bridge", () => {
  test("echo datagrams of every size, and each other's pings", () => {
    withNet(function* (rig): Task {
      const one = yield* rig.station(0);
      const two = yield* rig.station(1);
      expect([rig.back("state", 0), rig.back("state", 1)]).toEqual(["4", "4"]);
      const echo = two.udp(7);
      rig.kernel.spawn(
        "echo",
        (function* (): Task {
          for (;;) {
            const datagram = yield* echo.receive();
            if (datagram) yield* echo.send(datagram.ip, datagram.port, datagram.data);
          }
        })(),
      );
      const socket = one.udp(1000);
      for (const size of [0, 1, 2, 100, 1471, 1472]) {
        const data = Uint8Array.from({ length: size }, (_, i) => i * 7 + size);
        yield* socket.send(ip(1), 7, data);
        const answer = yield* socket.receive(1e9);
        expect(answer?.ip).toBe(ip(1));
        expect([...(answer?.data ?? [])]).toEqual([...data]);
      }
      const now = (): number => rig.kernel.systemTimeNs();
      for (let i = 0; i < 3; i++) expect(yield* two.ping(ip(0), i, 56 * i, now)).toBeGreaterThan(0);
      expect(yield* one.ping(ip(5), 1, 56, now)).toBeUndefined();
    });
  });

  test("known unicast is not flooded, other bridges hear nothing", () => {
    withNet(function* (rig): Task {
      const one = yield* rig.station(0);
      const two = yield* rig.station(1);
      const third = yield* rig.station(2);
      const elsewhere = yield* rig.station(3, "bridge=xenbr1");
      expect(rig.networks.bridge("xenbr0").portNames).toEqual(["vif0.0", "vif0.1", "vif0.2"]);
      const sink = two.udp(9);
      for (let i = 0; i < 20; i++) {
        yield* one.udp(2000 + i).send(ip(1), 9, bytes(`number ${i}`));
        expect(text((yield* sink.receive(1e9))?.data)).toBe(`number ${i}`);
      }
      // The question for the address was for all.
      expect(third.front.received).toBe(1);
      expect(elsewhere.front.received).toBe(0);
      expect(rig.networks.pool.used).toBe(0);
    });
  });

  test("a receiver that stands still loses its own frames and holds up nobody", () => {
    withNet(function* (rig): Task {
      const one = yield* rig.station(0);
      const two = yield* rig.station(1);
      const dead = yield* rig.station(2);
      const sink = two.udp(9);
      const socket = one.udp(1000);
      yield* one.resolve(ip(2));
      dead.front.poll = () => {}; // It takes nothing any more.
      for (let i = 0; i < 1000; i++) {
        yield* socket.send(ip(2), 9, bytes(`lost ${i}`));
        if (i % 50 !== 0) continue;
        yield* socket.send(ip(1), 9, bytes(`number ${i}`));
        expect(text((yield* sink.receive(1e9))?.data)).toBe(`number ${i}`);
      }
      expect(rig.networks.pool.used).toBeLessThanOrEqual(512 * 1024);
      yield* sleep(1e6);
      expect(yield* rig.nics.detach(SELF, 2, true)).toBe(true);
      expect(rig.networks.pool.used).toBe(0);
    });
  });

  test("rate= holds back what is over the credit of each interval", () => {
    withNet(function* (rig): Task {
      const one = yield* rig.station(0, "rate=1MB/s@10ms");
      const two = yield* rig.station(1);
      const got: number[] = [];
      two.udp(9).onDatagram = () => got.push(rig.kernel.systemTimeNs());
      const socket = one.udp(1000);
      yield* one.resolve(ip(1));
      for (let i = 0; i < 100; i++) yield* socket.send(ip(1), 9, new Uint8Array(958)); // 1000 bytes a frame.
      yield* sleep(2e8);
      expect(got).toHaveLength(100);
      // 10 000 bytes an interval: 100 frames take nine more intervals than the first.
      const spanMs = (got[99] - got[0]) / 1e6;
      expect(spanMs).toBeGreaterThan(80);
      expect(spanMs).toBeLessThan(110);
    });
  });

  test("a frame with a foreign source address goes nowhere", () => {
    withNet(function* (rig): Task {
      const one = yield* rig.station(0);
      const two = yield* rig.station(1);
      const good = one.mac;
      one.mac = 0x00163e000002; // The other's.
      one.udp(1000);
      yield* one.resolve(ip(1));
      expect(two.front.received).toBe(0);
      one.mac = good;
      expect(yield* one.resolve(ip(1))).toBe(0x00163e000002);
    });
  });

  test("pcap= writes a capture of what went in and out", () => {
    const { host } = withNet(function* (rig): Task {
      const one = yield* rig.station(0, "pcap=one.pcap");
      const two = yield* rig.station(1);
      const sink = two.udp(9);
      yield* one.udp(1000).send(ip(1), 9, bytes("captured"));
      yield* sink.receive(1e9);
      yield* rig.nics.detach(SELF, 0, true);
      yield* sleep(1e6);
    });
    const capture = host.disk.get("one.pcap") as Uint8Array;
    const view = new DataView(capture.buffer, capture.byteOffset, capture.byteLength);
    expect([view.getUint32(0, true), view.getUint32(20, true)]).toEqual([0xa1b23c4d, 1]);
    const sizes: number[] = [];
    for (let at = 24; at < capture.length; at += 16 + sizes[sizes.length - 1]) sizes.push(view.getUint32(at + 8, true));
    expect(sizes).toEqual([42, 42, 14 + 20 + 8 + 8]); // Question, answer, datagram.
    expect(text(capture.subarray(-8))).toBe("captured");
  });

  test("a capture that can't be written is told in one line, and no interface is made", () => {
    const { host } = withNet(
      function* (rig): Task {
        let problem: unknown;
        try {
          yield* rig.attach(0, "pcap=one.pcap");
        } catch (error) {
          problem = (error as Error).message;
        }
        expect(problem).toBe("vif 0: capture one.pcap: No space left on device");
        expect(rig.nics.list(SELF)).toEqual([]);
        expect(rig.networks.bridge("xenbr0").portNames).toEqual([]);
      },
      ({ host }) => {
        host.open = () => {
          throw Object.assign(new Error("injected"), { code: "ENOSPC" });
        };
      },
    );
    expect(host.openFiles).toBe(0);
  });

  test("an address is had by DHCP", () => {
    withNet(function* (rig): Task {
      const server = yield* rig.station(0);
      yield* rig.attach(1);
      const client = yield* rig.connect(1);
      rig.kernel.spawn("dhcp server", serveDhcp(server, parseIp("10.0.0.77")));
      expect(yield* dhcp(client, 0x12345678)).toMatchObject({ ip: parseIp("10.0.0.77"), router: ip(0), mask: MASK });
      const now = (): number => rig.kernel.systemTimeNs();
      expect(yield* client.ping(ip(0), 1, 56, now)).toBeGreaterThan(0);
    });
  });
});

describe("devices that come and go", () => {
  test("nodes are laid out as libxl does, and gone after detaching; the frontend may begin anew", () => {
    withNet(function* (rig): Task {
      yield* rig.attach(0, "rate=10Mb/s,vifname=uplink,mtu=9000");
      const back = "/local/domain/0/backend/vif/0/0";
      expect(rig.xs.read(`${back}/rate`)).toBe("62500,50000");
      expect(rig.xs.read(`${back}/vifname`)).toBe("uplink");
      expect(rig.xs.read(`${rig.path(0)}/mac`)).toBe(macOf(0));
      expect(rig.xs.read(`${rig.path(0)}/mtu`)).toBe("9000");
      expect(rig.xs.read("/libxl/0/device/vif/0/bridge")).toBe("xenbr0");
      for (let round = 0; round < 3; round++) {
        const stack = yield* rig.connect(0);
        expect(rig.back("state")).toBe("4");
        yield* stack.front.close();
        expect(rig.back("state")).toBe("6");
        rig.xs.write(`${rig.path(0)}/state`, "1");
        yield* rig.store.waitFor(`${back}/state`, ["2"]);
      }
      expect(yield* rig.nics.detach(SELF, 0, false)).toBe(true);
      expect(rig.xs.read(back)).toBeUndefined();
      expect(rig.xs.read(rig.path(0))).toBeUndefined();
      expect(rig.networks.bridge("xenbr0").portNames).toEqual([]);
    });
  });

  test("what waited for a frontend that has closed is not the next one's", () => {
    withNet(function* (rig): Task {
      const one = yield* rig.station(0);
      const two = yield* rig.station(1);
      const socket = one.udp(1000);
      yield* one.resolve(ip(1));
      two.front.poll = () => {}; // It takes nothing any more.
      for (let i = 0; i < 300; i++) yield* socket.send(ip(1), 9, new Uint8Array(100));
      yield* sleep(1e6);
      expect(rig.networks.pool.used).toBeGreaterThan(0);
      yield* two.front.close();
      expect(rig.networks.pool.used).toBe(0);
      rig.xs.write(`${rig.path(1)}/state`, "1");
      yield* rig.store.waitFor("/local/domain/0/backend/vif/0/1/state", ["2"]);
      const again = yield* rig.connect(1);
      yield* sleep(1e6);
      expect(again.front.received).toBe(0);
    });
  });

  test("an interface is taken away in the middle of a stream, again and again, and nothing leaks", () => {
    withNet(function* (rig): Task {
      const one = yield* rig.station(0);
      const socket = one.udp(1000);
      for (let round = 0; round < 10; round++) {
        const two = yield* rig.station(1);
        let got = 0;
        two.udp(9).onDatagram = () => got++;
        for (let i = 0; i < 300; i++) yield* socket.send(ip(1), 9, new Uint8Array(1000));
        expect(yield* rig.nics.detach(SELF, 1, true)).toBe(true);
        expect(got).toBeGreaterThan(0);
        yield* two.front.close();
      }
      yield* sleep(1e6);
      expect(rig.networks.pool.used).toBe(0);
    });
  });
});

/** Offers `offered` to whoever asks. */
function* serveDhcp(server: NetStack, offered: number): Task {
  const socket = server.udp(67);
  for (;;) {
    const question = (yield* socket.receive())?.data;
    if (question === undefined) continue;
    const answer = new Uint8Array(300);
    answer.set(question.subarray(0, 44));
    const view = new DataView(answer.buffer);
    view.setUint8(0, 2);
    view.setUint32(16, offered);
    view.setUint32(236, 0x63825363);
    const router = [10, 0, 0, 1];
    const type = question[242] === 1 ? 2 : 5;
    answer.set([53, 1, type, 54, 4, ...router, 1, 4, 255, 255, 255, 0, 3, 4, ...router, 255], 240);
    yield* socket.send(0xffffffff, 68, answer);
  }
}
