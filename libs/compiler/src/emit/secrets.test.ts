import { expect, it } from "vitest";
import { service, viewOf } from "../testing/mesh.ts";

const YAML = `${service("web", "10.0.0.1", ["https:443"])}
apiVersion: v1
kind: Secret
metadata: { name: client, namespace: team }
data: { tls.crt: Y2VydA==, tls.key: a2V5, ca.crt: cm9vdHM= }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: web, namespace: team }
spec: { host: web.default.svc.cluster.local, SELECTOR trafficPolicy: { tls: { mode: MUTUAL, credentialName: client } } }`;
const NAMES = ["kubernetes://client", "kubernetes://client-cacert"];

it.each([
  ["a gateway that follows it", "", { kind: "router", namespace: "team" }, NAMES],
  [
    "a sidecar it selects",
    "workloadSelector: { matchLabels: { app: a } },",
    { namespace: "team", labels: { app: "a" } },
    NAMES,
  ],
  [
    "no other sidecar",
    "workloadSelector: { matchLabels: { app: a } },",
    { namespace: "team", labels: { app: "b" } },
    [],
  ],
  ["no sidecar without a selector", "", { namespace: "team", labels: { app: "a" } }, []],
  ["nobody of another namespace", "", { kind: "router", namespace: "other" }, []],
] as const)("a credential of a destination rule is for %s", (_title, selector, node, expected) => {
  expect(viewOf(YAML.replace("SELECTOR", selector), node).names("secret")).toEqual(expected);
});
