// vif= as xl-network-configuration(5) has it.
import { describe, expect, test } from "vitest";
import { ItemError } from "../../../dom0/toolstack/config/errors.ts";
import { readDomainConfig } from "../../../dom0/toolstack/config/index.ts";
import { parseVif } from "../../../dom0/toolstack/config/vif.ts";

const plain = {
  mac: undefined,
  bridge: "xenbr0",
  rate: undefined,
  vifname: undefined,
  ip: undefined,
  mtu: 1500,
  devid: undefined,
  trusted: true,
  pcap: undefined,
};
const parse = (text: string): ReturnType<typeof parseVif> =>
  parseVif(text, (line) => {
    throw new Error(line);
  });

describe("a vif", () => {
  test.each([
    ["", {}],
    ["mac=00:16:3E:1:02:FF, bridge=br-lan", { mac: "00:16:3e:01:02:ff", bridge: "br-lan" }],
    ["type=vif,model=e1000,ip=10.0.0.1,vifname=vif-web,backend=Domain-0", { ip: "10.0.0.1", vifname: "vif-web" }],
    ["mtu=9000,devid=3,untrusted,pcap=/tmp/a.pcap", { mtu: 9000, devid: 3, trusted: false, pcap: "/tmp/a.pcap" }],
    ["rate=10Mb/s", { rate: { bytesPerInterval: 62500, intervalUs: 50000 } }],
    ["rate=250KB/s", { rate: { bytesPerInterval: 12500, intervalUs: 50000 } }],
    ["rate=1MB/s@20ms", { rate: { bytesPerInterval: 20000, intervalUs: 20000 } }],
    ["rate=1GB/s@10us", { rate: { bytesPerInterval: 10000, intervalUs: 10 } }],
    ["rate=1b/s", { rate: { bytesPerInterval: 1, intervalUs: 50000 } }],
    ["rate=800b/s@2s", { rate: { bytesPerInterval: 200, intervalUs: 2_000_000 } }],
  ])("%s", (text, want) => {
    expect(parse(text)).toEqual({ ...plain, ...want });
  });

  test.each([
    ["mac=00:16:3e", "six bytes"],
    ["mac=01:00:5e:00:00:01", "one station"],
    ["rate=fast", "invalid rate"],
    ["rate=0b/s", "overflow"],
    ["rate=1MB/s@x", "interval"],
    ["bridge=", "no name"],
    ["type=ioemu", "emulated"],
    ["backend=driver", "Domain-0"],
    ["mtu=20", "68"],
    ["colour=red", "unrecognized"],
    ["fast", "unrecognized"],
  ])("%s is refused in words", (text, words) => {
    expect(() => parse(text)).toThrow(ItemError);
    expect(() => parse(text)).toThrow(words);
  });

  test("scripts are ignored with a warning", () => {
    const warnings: string[] = [];
    parseVif("script=vif-nat,bridge=a", (line) => warnings.push(line));
    expect(warnings).toEqual([expect.stringContaining("script=vif-nat is ignored")]);
  });

  test("a mistake in a configuration is told with its place", () => {
    const text = 'name = "a"\nkernel = "k"\nvif = [ "bridge=xenbr0", "mac=1" ]\n';
    expect(() => readDomainConfig("a.cfg", text, [], () => {})).toThrow(
      /^a\.cfg:3:\d+: vif "mac=1": mac "1" is not six/,
    );
    const config = readDomainConfig("a.cfg", text.replace("mac=1", ""), [], () => {});
    expect(config.vifs).toEqual([plain, plain]);
  });
});
