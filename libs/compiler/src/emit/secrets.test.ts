import { expect, it } from "vitest";
import { typeUrls } from "../resource.ts";
import { CERTIFICATE, tlsSecret } from "../testing/certificates.ts";
import { compilerFor, nodeOf, objectsFrom, service, viewOf } from "../testing/mesh.ts";

const { crt, key, root, revoked } = CERTIFICATE;
const SECRET = tlsSecret("client", "team", { "tls.crt": crt, "tls.key": key, "ca.crt": root });
const YAML = `${service("web", "10.0.0.1", ["https:443"])}${SECRET}
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

const GATEWAY = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: edge, namespace: team }
spec:
  selector: { app: edge }
  servers: [{ port: { number: 443, name: s, protocol: HTTPS }, hosts: [a.com], tls: { mode: MUTUAL, credentialName: client } }]
---`;
const EDGE = { kind: "router", namespace: "team", labels: { app: "edge" } } as const;
const other = CERTIFICATE.root;

it.each([
  ["whole", { "tls.crt": crt, "tls.key": key, "ca.crt": root, "ca.crl": revoked }, NAMES, []],
  ["in the other words", { cert: crt, key, cacert: root }, NAMES, []],
  ["without roots", { "tls.crt": crt, "tls.key": key }, NAMES.slice(0, 1), []],
  ["of roots alone", { "ca.crt": root }, NAMES.slice(1), []],
  ["with another's key", { "tls.crt": other, "tls.key": key }, [], ["the key is not that of the certificate"]],
  ["without its key", { "tls.crt": crt, "ca.crt": root }, NAMES.slice(1), ["there is a certificate and no key"]],
  ["of text", { "tls.crt": "eA==", "tls.key": "eA==" }, [], ["there is no certificate in it"]],
  [
    "with roots of text",
    { "tls.crt": crt, "tls.key": key, "ca.crt": "eA==" },
    NAMES.slice(0, 1),
    ["there is no certificate in it"],
  ],
  [
    "with a list of text: the roots would trust whom it revokes",
    { "tls.crt": crt, "tls.key": key, "ca.crt": root, "ca.crl": "eA==" },
    NAMES.slice(0, 1),
    ["there is no revocation list in it"],
  ],
] as const)("a Secret %s gives what can be read of it, and the rest is told", (_title, data, names, problems) => {
  const compiler = compilerFor(objectsFrom(tlsSecret("client", "team", data), GATEWAY));
  const node = nodeOf(EDGE);
  expect([...compiler.resources(node, typeUrls.secret).keys()].sort()).toEqual(names);
  expect(compiler.warnings().map(({ code, path, message }) => [code, path, message])).toEqual(
    problems.map((problem) => [
      "LTN3113",
      "spec.servers[0].tls.credentialName",
      `Gateway/team/edge: Secret team/client is not used: ${problem}`,
    ]),
  );
  // Nothing else of the gateway depends on it.
  expect([...compiler.resources(node, typeUrls.listener).keys()]).toEqual(["0.0.0.0_443"]);
});

it("a credential of a destination rule that cannot be read is told of the rule", () => {
  const broken = YAML.replace("SELECTOR", "").replace(crt, "eA==");
  expect(compilerFor(objectsFrom(broken)).warnings()).toMatchObject([
    { code: "LTN3113", about: "DestinationRule/team/web", path: "spec.trafficPolicy.tls.credentialName" },
  ]);
});
