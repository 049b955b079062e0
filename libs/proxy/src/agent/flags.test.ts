import { readConfig } from "@lateen/runtime";
import { describe, expect, it } from "vitest";
import { proxyAgentConfig, proxyFlags } from "./flags.ts";

const flags = proxyFlags({ program: "sidecar", role: "sidecar", drainTime: "5s" });
const read = (argv: string[], env: Record<string, string> = {}) => {
  const given = readConfig(flags, argv, env);
  if (!given.ok) throw new Error(given.error.join());
  return proxyAgentConfig(given.value, env);
};
const INJECTED = {
  POD_NAME: "web-1",
  POD_NAMESPACE: "shop",
  INSTANCE_IP: "10.0.0.9",
  SERVICE_ACCOUNT: "web",
  TRUST_DOMAIN: "td",
  ISTIO_META_WORKLOAD_NAME: "web",
  ISTIO_META_CLUSTER_ID: "east",
  ISTIO_METAJSON_LABELS: '{"app":"web"}',
  ISTIO_META_POD_PORTS: '[{"containerPort":80}]',
  ISTIO_META_INTERCEPTION_MODE: "REDIRECT",
};
const MESH = ["--discovery-address", "istiod:15012", "--run-dir", "/run/x"];

describe("proxy options", () => {
  it("come from what an injector sets", () => {
    const config = read(MESH, INJECTED);
    expect(config).toMatchObject({
      ok: true,
      value: {
        facts: {
          role: "sidecar",
          podName: "web-1",
          namespace: "shop",
          instanceIp: "10.0.0.9",
          serviceAccount: "web",
          workloadName: "web",
          clusterId: "east",
          meshId: "td",
          trustDomain: "td",
          labels: { app: "web" },
          podPorts: [{ containerPort: 80 }],
          metadata: { INTERCEPTION_MODE: "REDIRECT" },
        },
        caAddress: "istiod:15012",
        adminPort: 15_000,
        statusPort: 15_020,
        healthPort: 15_021,
        statsPort: 15_090,
        certTtlMs: 86_400_000,
        heapReport: false,
        drainTimeMs: 5000,
        drainDurationMs: 45_000,
      },
    });
  });

  it("open no ports for a bootstrap file but those that are named", () => {
    const config = read(["--envoy-config", "e.yaml", "--stats-port", "0"]);
    expect(config).toMatchObject({
      ok: true,
      value: { adminPort: undefined, statusPort: undefined, healthPort: undefined, statsPort: 0, caAddress: undefined },
    });
  });

  it.each<[string[], Record<string, string>, string]>([
    [[], {}, "either --discovery-address or --envoy-config is required"],
    [["--discovery-address", "a:1"], INJECTED, "--run-dir is required with --discovery-address"],
    [MESH, { ...INJECTED, POD_NAME: "" }, "POD_NAME is required with --discovery-address"],
    [MESH, { ...INJECTED, ISTIO_METAJSON_LABELS: "{" }, "ISTIO_METAJSON_LABELS: not JSON"],
    [MESH, { ...INJECTED, ISTIO_METAJSON_LABELS: "[]" }, "ISTIO_METAJSON_LABELS: must be a JSON object"],
    [MESH, { ...INJECTED, ISTIO_META_POD_PORTS: "{}" }, "ISTIO_META_POD_PORTS: must be a JSON list"],
  ])("%o are refused", (argv, env, problem) => {
    const config = read(argv, env);
    expect(config.ok ? [] : config.error).toContain(problem);
  });
});
