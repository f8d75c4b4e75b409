// The command line of `npm start`: what is understood, and that a mistake gets one clear line.
import { describe, expect, test } from "vitest";
import { type HostOptions, parseOptions } from "../../../dom0/host/options.ts";

const parse = (line: string): ReturnType<typeof parseOptions> => parseOptions(line.split(" ").filter(Boolean), "1.2.3");

describe("the command line", () => {
  test("defaults are the same with and without the parser", async () => {
    expect(await parse("--seed 0")).toEqual(await parse(""));
    expect(await parse("")).toMatchObject({ memoryMiB: 1024, clock: "real", trace: [], logDir: undefined });
  });

  test("every option is understood", async () => {
    const all =
      "--memory 512 --dom0-memory 32 --clock virtual --seed 7 --trace=hypercalls,insn:20 --trace-file t --log-dir l --guest-console-io --uplink bridge=br1,passt,-t,80 --uplink unix:/s --uplink tap:tap0 --bridge br1,pcap=p";
    expect(await parse(all)).toEqual({
      memoryMiB: 512,
      dom0MemoryMiB: 32,
      clock: "virtual",
      seed: 7,
      trace: ["hypercalls"],
      traceInstructions: 20,
      traceFile: "t",
      profileFile: undefined,
      logDir: "l",
      guestConsoleIo: true,
      typescriptKernels: true,
      hotTier: true,
      uplinks: [
        { bridge: "br1", spec: "passt,-t,80" },
        { bridge: "xenbr0", spec: "unix:/s" },
        { bridge: "xenbr0", spec: "tap:tap0" },
      ],
      captures: [{ bridge: "br1", file: "p" }],
    } satisfies HostOptions);
    expect(await parse("--no-typescript-kernels")).toMatchObject({ typescriptKernels: false });
    expect(await parse("--no-hot-tier")).toMatchObject({ hotTier: false });
    expect(await parse("--profile p")).toMatchObject({ profileFile: "p", clock: "real" });
    expect(await parse("--trace")).toMatchObject({ trace: ["hypercalls", "traps", "events", "sched"] });
  });

  test.each([
    ["--memory 12", "--memory"],
    ["--memory lots", "--memory"],
    ["--memory 128 --memory 256", "--memory is given more than once"],
    ["--seed 1 --log-dir a --log-dir b", "--log-dir is given more than once"],
    ["--memory", "memory"],
    ["--memory 64 --memory 128", "--memory"],
    ["--dom0-memory 2000", "--dom0-memory"],
    ["--clock sundial", "--clock"],
    ["--seed -1", "--seed"],
    ["--uplink bridge=xenbr0", "--uplink"],
    ["--uplink pigeon", "--uplink"],
    ["--uplink tap:", "--uplink"],
    ["--bridge br1", "--bridge"],
    ["--clock virtual --profile p", "--profile"],
    ["--trace=colours", "colours"],
    ["--memroy 64", "memroy"],
    ["hello.cfg", "hello.cfg"],
  ])("%s is refused in one line that names it", async (line, named) => {
    const said = await parse(line);
    expect(said).toMatchObject({ status: 1 });
    expect((said as { message: string }).message).toContain(named);
    expect((said as { message: string }).message).not.toContain("\n");
  });

  test("help and version are no errors", async () => {
    expect(await parse("--version")).toEqual({ message: "1.2.3", status: 0 });
    expect(await parse("--help")).toMatchObject({ status: 0 });
  });
});
