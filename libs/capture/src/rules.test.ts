import { expectOk, type Result } from "@lateen/kernel";
import { describe, expect, it } from "vitest";
import { type CaptureOptions, captureOptions, defaultCapture } from "./options.ts";
import { captureRules, withCapture, withoutCapture } from "./rules.ts";

const outputOf = (options: Partial<CaptureOptions>, version: 4 | 6 = 4): readonly string[] =>
  chainOf("ISTIO_OUTPUT", options, version);
function chainOf(chain: string, options: Partial<CaptureOptions>, version: 4 | 6 = 4): readonly string[] {
  return captureRules(version, { ...defaultCapture, ...options })
    .filter((rule) => rule.startsWith(`-A ${chain} `))
    .map((rule) => rule.slice(chain.length + 4));
}

describe("captureRules", () => {
  it("takes all TCP by default, but not what the proxy sends and what stays on loopback", () => {
    expect(outputOf({})).toEqual([
      "-s 127.0.0.6/32 -o lo -j RETURN",
      "! -d 127.0.0.1/32 -o lo -p tcp ! --dport 15008 -m owner --uid-owner 1337 -j ISTIO_IN_REDIRECT",
      "! -d 127.0.0.1/32 -o lo -p tcp ! --dport 15008 -m owner --gid-owner 1337 -j ISTIO_IN_REDIRECT",
      "-m owner --uid-owner 1337 -j RETURN",
      "-m owner --gid-owner 1337 -j RETURN",
      "-o lo -p tcp -j RETURN",
      "-d 127.0.0.1/32 -j RETURN",
      "-j ISTIO_REDIRECT",
    ]);
    expect(chainOf("ISTIO_INBOUND", {})).toEqual([
      ...[22, 15008, 15020, 15021, 15090].map((port) => `-p tcp --dport ${port} -j RETURN`),
      "-p tcp -j ISTIO_IN_REDIRECT",
    ]);
    expect(chainOf("ISTIO_REDIRECT", {})).toEqual(["-p tcp -j REDIRECT --to-ports 15001"]);
    expect(chainOf("ISTIO_IN_REDIRECT", {})).toEqual(["-p tcp -j REDIRECT --to-ports 15006"]);
  });

  it.each<[string, Partial<CaptureOptions>, string, readonly string[]]>([
    [
      "only some inbound ports",
      { includeInboundPorts: [9080, 9081] },
      "ISTIO_INBOUND",
      ["-p tcp --dport 9080 -j ISTIO_IN_REDIRECT", "-p tcp --dport 9081 -j ISTIO_IN_REDIRECT"],
    ],
    ["no inbound port at all", { includeInboundPorts: [] }, "ISTIO_PREROUTING", []],
    [
      "excluded inbound ports",
      { excludeInboundPorts: [8081] },
      "ISTIO_INBOUND",
      ["-p tcp --dport 8081 -j RETURN", "-p tcp -j ISTIO_IN_REDIRECT"],
    ],
    [
      "excluded interfaces, both ways",
      { excludeInterfaces: ["eth1"] },
      "ISTIO_PREROUTING",
      ["-i eth1 -j RETURN", "-p tcp -j ISTIO_INBOUND"],
    ],
    [
      "interfaces of virtual machines: outbound what they send",
      { virtualInterfaces: ["net1"], includeOutboundRanges: ["10.0.0.0/8", "fd00::/8"] },
      "ISTIO_PREROUTING",
      ["-d 10.0.0.0/8 -i net1 -j ISTIO_REDIRECT", "-i net1 -j RETURN", "-p tcp -j ISTIO_INBOUND"],
    ],
  ])("%s", (_name, options, chain, expected) => {
    expect(chainOf(chain, options)).toEqual(expected);
  });

  it.each<[string, Partial<CaptureOptions>, readonly string[]]>([
    ["excluded ports come first", { excludeOutboundPorts: [3306] }, ["-p tcp --dport 3306 -j RETURN"]],
    ["excluded interfaces too", { excludeInterfaces: ["eth1"] }, ["-o eth1 -j RETURN"]],
  ])("%s", (_name, options, first) => {
    expect(outputOf(options).slice(0, first.length)).toEqual(first);
  });

  it.each<[string, Partial<CaptureOptions>, 4 | 6, readonly string[]]>([
    [
      "excluded ranges win over included ones",
      { includeOutboundRanges: ["10.0.0.0/8"], excludeOutboundRanges: ["10.1.0.0/16"] },
      4,
      ["-d 10.1.0.0/16 -j RETURN", "-d 10.0.0.0/8 -j ISTIO_REDIRECT"],
    ],
    [
      "ranges of the other family are left to its table",
      { includeOutboundRanges: ["10.0.0.0/8", "fd00::/8"], excludeOutboundRanges: ["fd01::/16"] },
      6,
      ["-d fd01::/16 -j RETURN", "-d fd00::/8 -j ISTIO_REDIRECT"],
    ],
    [
      "ports are captured whatever the address",
      { includeOutboundRanges: [], includeOutboundPorts: [443, 80] },
      4,
      ["-p tcp --dport 443 -j ISTIO_REDIRECT", "-p tcp --dport 80 -j ISTIO_REDIRECT"],
    ],
    ["no outbound capture", { includeOutboundRanges: [] }, 4, []],
  ])("%s", (_name, options, version, last) => {
    const rules = outputOf(options, version);
    const loopback = version === 4 ? "-d 127.0.0.1/32 -j RETURN" : "-d ::1/128 -j RETURN";
    expect(rules.slice(rules.indexOf(loopback) + 1)).toEqual(last);
  });

  it("sends DNS to the DNS proxy, also to a server on loopback, but not the proxy's own queries", () => {
    const all = outputOf({ dns: "all" });
    const redirect = all.indexOf("-p udp --dport 53 -j REDIRECT --to-ports 15053");
    expect(all[redirect + 1]).toBe("-p tcp --dport 53 -j REDIRECT --to-ports 15053");
    expect(redirect).toBeGreaterThan(all.indexOf("-m owner --gid-owner 1337 -j RETURN"));
    expect(redirect).toBeLessThan(all.indexOf("-d 127.0.0.1/32 -j RETURN"));
    expect(all).toContain("-o lo -p tcp ! --dport 53 -j RETURN");
    const servers = { servers: ["10.96.0.10", "fd00::a"] };
    expect(outputOf({ dns: servers }).filter((rule) => rule.includes("15053"))).toEqual([
      "-d 10.96.0.10 -p udp --dport 53 -j REDIRECT --to-ports 15053",
      "-d 10.96.0.10 -p tcp --dport 53 -j REDIRECT --to-ports 15053",
    ]);
    expect(outputOf({ dns: servers }, 6).filter((rule) => rule.includes("15053"))[0]).toContain("-d fd00::a ");
  });
});

describe("the whole table", () => {
  const saved = [
    "# Generated by iptables-save",
    "*nat",
    ":PREROUTING ACCEPT [0:0]",
    ":OUTPUT ACCEPT [5:300]",
    ":DOCKER - [0:0]",
    "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
    "COMMIT",
    "",
  ].join("\n");

  it("keeps what others put there, replaces what is ours, and can be taken out again", () => {
    const rules = captureRules(4, { ...defaultCapture, dns: "all", excludeInterfaces: ["eth1"] });
    const once = withCapture(saved, rules);
    expect(once).toContain(":DOCKER - [0:0]");
    expect(once).toContain("-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER");
    expect(withCapture(once, rules)).toBe(once);
    expect(withoutCapture(once)).toBe(withoutCapture(saved));
    expect(withoutCapture(once)).not.toMatch(/ISTIO_|15053/);
  });
});

const read = <T>(result: Result<T, readonly string[]>): T => expectOk(result, (problems) => new Error(problems.join()));

describe("captureOptions", () => {
  it("reads a pod's annotations", () => {
    const of = (name: string, value: string) => read(captureOptions({ [`traffic.sidecar.istio.io/${name}`]: value }));
    expect(of("includeInboundPorts", "80, 443").includeInboundPorts).toEqual([80, 443]);
    expect(of("includeInboundPorts", "").includeInboundPorts).toEqual([]);
    expect(of("includeInboundPorts", "*").includeInboundPorts).toBe("*");
    expect(of("excludeInboundPorts", "9999").excludeInboundPorts).toEqual([22, 15008, 15020, 15021, 15090, 9999]);
    expect(of("includeOutboundIPRanges", "10.0.0.0/8,fd00::/8").includeOutboundRanges).toEqual([
      "10.0.0.0/8",
      "fd00::/8",
    ]);
    expect(of("excludeOutboundIPRanges", "1.2.3.4").excludeOutboundRanges).toEqual(["1.2.3.4"]);
    expect(of("excludeOutboundPorts", "25").excludeOutboundPorts).toEqual([25]);
    expect(of("includeOutboundPorts", "25").includeOutboundPorts).toEqual([25]);
    expect(of("excludeInterfaces", "eth1,tun+").excludeInterfaces).toEqual(["eth1", "tun+"]);
    expect(of("kubevirtInterfaces", "net1").virtualInterfaces).toEqual(["net1"]);
    expect(read(captureOptions({ "istio.io/reroute-virtual-interfaces": "net2" })).virtualInterfaces).toEqual(["net2"]);
  });

  it("names every bad value, so that none gets onto a command line", () => {
    const result = captureOptions({
      "traffic.sidecar.istio.io/includeInboundPorts": "80,http",
      "traffic.sidecar.istio.io/excludeOutboundIPRanges": "10.0.0.0/33",
      "traffic.sidecar.istio.io/excludeInterfaces": "eth0 -j ACCEPT",
    });
    expect(result).toEqual({
      ok: false,
      error: [
        'traffic.sidecar.istio.io/includeInboundPorts: "http" cannot be used',
        'traffic.sidecar.istio.io/excludeOutboundIPRanges: "10.0.0.0/33" cannot be used',
        'traffic.sidecar.istio.io/excludeInterfaces: "eth0 -j ACCEPT" cannot be used',
      ],
    });
  });
});
