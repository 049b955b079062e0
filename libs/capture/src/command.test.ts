import { describe, expect, it } from "vitest";
import { captureCommand } from "./command.ts";
import { defaultCapture } from "./options.ts";
import { runCapture } from "./run-command.ts";

const read = (line: string, env = {}, resolvConf = "") => captureCommand(line.split(" "), { env, resolvConf });

describe("istio-iptables", () => {
  it("takes what injectors write", () => {
    const line =
      "-p 15001 -z 15006 -u 1337 -m REDIRECT -i * -x  -b * -d 15090,15021,15020 --log_output_level=default:info";
    expect(read(line)).toEqual({ ok: true, value: { options: defaultCapture, dryRun: false } });
  });

  it.each([
    ["-i 10.0.0.0/8 -x 10.1.0.0/16", { includeOutboundRanges: ["10.0.0.0/8"], excludeOutboundRanges: ["10.1.0.0/16"] }],
    ["-b 80,81", { includeInboundPorts: [80, 81] }],
    ["--istio-inbound-ports=80", { includeInboundPorts: [80] }],
    ["-o 25 -q 8080", { excludeOutboundPorts: [25], includeOutboundPorts: [8080] }],
    ["-c eth9 -k net1", { excludeInterfaces: ["eth9"], virtualInterfaces: ["net1"] }],
    ["-p 1 -z 2 -u 3 -g 3", { outboundPort: 1, inboundPort: 2, proxyId: 3 }],
    ["--redirect-dns --capture-all-dns", { dns: "all" }],
  ])("%s", (line, expected) => {
    expect(read(line)).toMatchObject({ ok: true, value: { options: expected } });
  });

  it("captures DNS to the servers of the pod, when the proxy answers it", () => {
    const conf = "search x\nnameserver 10.96.0.10\nnameserver fe80::1%eth0\n";
    expect(read("-p 15001", { ISTIO_META_DNS_CAPTURE: "true" }, conf)).toMatchObject({
      value: { options: { dns: { servers: ["10.96.0.10", "fe80::1"] } } },
    });
  });

  it.each([
    ["-m TPROXY", "-m: TPROXY cannot be honoured"],
    ["-b http", '"http" cannot be used'],
    ["-x 10.0.0.0/99", "cannot be used"],
    ["-p many", '-p: "many" is not a number'],
    ["-u 1 -g 2", "must have one number"],
    ["--nosuch 1", "option --nosuch is not known"],
    ["-p", "-p needs a value"],
  ])("%s is refused", (line, problem) => {
    const result = read(line);
    expect(result.ok ? "" : result.error.join()).toContain(problem);
  });
});

describe("runCapture", () => {
  const run = async (...argv: string[]) => {
    let [out, err] = ["", ""];
    const code = await runCapture("apply", argv, {
      env: {},
      out: (text) => {
        out += text;
      },
      err: (text) => {
        err += text;
      },
    });
    return { code, out, err };
  };

  it("shows the rules of both families without touching the kernel", async () => {
    const { code, out } = await run("-o", "25", "--dry-run");
    expect(code).toBe(0);
    expect(out.match(/-A ISTIO_OUTPUT -p tcp --dport 25 -j RETURN/g)).toHaveLength(2);
  });

  it("refuses what it does not understand", async () => {
    expect(await run("--what")).toMatchObject({ code: 64, out: "", err: expect.stringContaining("--what") });
  });
});
