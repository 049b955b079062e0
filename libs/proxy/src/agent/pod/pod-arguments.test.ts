import { readConfig } from "@lateen/runtime";
import { describe, expect, it } from "vitest";
import { proxyAgentConfig, proxyFlags } from "../flags.ts";
import { podArguments } from "./pod-arguments.ts";
import { parsePodInfo } from "./pod-info.ts";

const flags = proxyFlags({ program: "sidecar", role: "sidecar", drainTime: "5s" });
const ENV = {
  POD_NAME: "web-1",
  POD_NAMESPACE: "shop",
  INSTANCE_IP: "10.0.0.9",
  CA_ADDR: "istio-citadel.istio-system.svc:8060",
  PROXY_CONFIG: '{"discoveryAddress":"pilot.other:15012"}',
  ISTIO_META_INTERCEPTION_MODE: "REDIRECT",
  ISTIO_PROMETHEUS_ANNOTATIONS: '{"port":"9100"}',
};
const INJECTED =
  "sidecar --domain shop.svc.cluster.local --proxyLogLevel=warning --proxyComponentLogLevel=misc:error --log_output_level=default:info";

/** The agent's configuration out of what an injected pod says. */
function configOf(line: string, env: Record<string, string | undefined> = ENV) {
  const argv = podArguments(line.split(" "), env, 8);
  if (!argv.ok) throw new Error(argv.error.join());
  const given = readConfig(flags, argv.value, env);
  if (!given.ok) throw new Error(given.error.join());
  const info = { labels: { app: "web" }, annotations: { note: "1" } };
  const config = proxyAgentConfig(given.value, env, info);
  if (!config.ok) throw new Error(config.error.join());
  return config.value;
}

describe("podArguments", () => {
  it("finds everything where injectors put it", () => {
    expect(configOf(INJECTED)).toMatchObject({
      runDir: "/etc/istio/proxy",
      projected: {
        tokenFile: "/var/run/secrets/tokens/istio-token",
        rootCertFile: "/var/run/secrets/istio/root-cert.pem",
      },
      discoveryAddress: "pilot.other:15012",
      serverName: "pilot.other",
      caAddress: "istio-citadel.istio-system.svc:8060",
      caServerName: "istio-citadel.istio-system.svc",
      statusAddress: "0.0.0.0",
      adminAddress: undefined,
      statusPort: 15_020,
      logLevel: "info",
      appMetrics: { port: 9100, path: "/metrics" },
      facts: {
        role: "sidecar",
        domain: "cluster.local",
        labels: { app: "web" },
        metadata: { ANNOTATIONS: { note: "1" }, INTERCEPTION_MODE: "REDIRECT" },
      },
    });
  });

  const withConfig = (config: object) => ({ ...ENV, PROXY_CONFIG: JSON.stringify(config) });
  it.each<[string, string, Record<string, string | undefined>, object]>([
    ["a router", INJECTED.replace("sidecar", "router"), ENV, { facts: { role: "router" } }],
    ["another domain", INJECTED.replace("cluster.local", "example.test"), ENV, { facts: { domain: "example.test" } }],
    [
      "no configuration",
      INJECTED,
      { ...ENV, PROXY_CONFIG: undefined },
      { discoveryAddress: "istiod.istio-system.svc:15012" },
    ],
    [
      "no CA of its own",
      INJECTED,
      { ...ENV, CA_ADDR: undefined },
      { caAddress: "pilot.other:15012", caServerName: "pilot.other" },
    ],
    ["IPv6", INJECTED, { ...ENV, INSTANCE_IP: "fd00::9" }, { statusAddress: "::" }],
    ["threads", INJECTED, withConfig({ concurrency: 3 }), { concurrency: 3 }],
    ["a thread for each processor", INJECTED, withConfig({ concurrency: 0 }), { concurrency: 8 }],
    ["threads by option", `${INJECTED} --concurrency 2`, ENV, { concurrency: 2 }],
    ["a status port", INJECTED, withConfig({ statusPort: 15_999 }), { statusPort: 15_999 }],
    ["a drain of listeners", INJECTED, withConfig({ drainDuration: "20s" }), { drainDurationMs: 20_000 }],
    ["a drain", INJECTED, withConfig({ terminationDrainDuration: "20s" }), { drainTimeMs: 20_000 }],
    ["more log", INJECTED.replace("=warning", "=debug"), ENV, { logLevel: "debug" }],
    ["less log", INJECTED.replace("default:info", "default:error,xds:debug"), ENV, { logLevel: "warn" }],
    ["a variable of this program", INJECTED, { ...ENV, LATEEN_RUN_DIR: "/other" }, { runDir: "/other" }],
    ["no role", "--domain=shop.svc.cluster.local", ENV, { facts: { role: "sidecar" } }],
  ])("%s", (_title, line, env, expected) => {
    expect(configOf(line, env)).toMatchObject(expected);
  });

  it.each([
    ["waypoint", ENV, "the role is sidecar or router"],
    ["sidecar --templateFile x", ENV, "not known"],
    ["sidecar", { ...ENV, PROXY_CONFIG: "[" }, "PROXY_CONFIG"],
  ])("%s is refused", (line, env, problem) => {
    const result = podArguments(line.split(" "), env, 1);
    expect(result.ok ? "" : result.error.join()).toContain(problem);
  });
});

describe("parsePodInfo", () => {
  it("unquotes as Go quotes", () => {
    const text = 'app="web"\nnote="a \\"b\\"\\n\\\\c"\nsnow="\\u2603 \\xe2\\x98\\x83"\nempty=""\nbroken\nbad=x\n';
    expect(parsePodInfo(text)).toEqual({ app: "web", note: 'a "b"\n\\c', snow: "☃ ☃", empty: "" });
  });
});
