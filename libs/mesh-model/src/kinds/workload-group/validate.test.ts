import { describe, expect, it } from "vitest";
import { workloadEntryOf } from "../../services/workload-group.ts";
import { documentOf, findingsOf, objectsOf } from "../../testing/findings.ts";
import type { Resource } from "../index.ts";

const GROUP =
  "{metadata: {labels: {app: db, tier: a}, annotations: {note: x}}, template: {ports: {tcp: 5432}, serviceAccount: db, labels: {tier: b}}}";

describe("a WorkloadGroup", () => {
  it.each([
    ["describes workloads", GROUP, undefined],
    ["may probe them", "{template: {}, probe: {periodSeconds: 5, httpGet: {path: /ready, port: 8080}}}", undefined],
    ["needs a template", "{}", 'error spec: field "template" is required'],
    ["has no address", "{template: {address: 10.0.0.1}}", "error spec.template.address: a group has no address"],
    [
      "asks in one way",
      "{template: {}, probe: {tcpSocket: {port: 1}, exec: {command: [a]}}}",
      "error spec.probe: a probe needs exactly one of httpGet, tcpSocket, exec, grpc; tcpSocket and exec are there",
    ],
    [
      "asks over HTTP",
      "{template: {}, probe: {httpGet: {port: 1, scheme: FTP}}}",
      'error spec.probe.httpGet.scheme: scheme must be HTTP or HTTPS, not "FTP"',
    ],
  ])("%s", (_title, spec, finding) => {
    const found = findingsOf(documentOf("WorkloadGroup", spec));
    expect(found).toEqual(finding === undefined ? [] : [expect.stringContaining(finding)]);
  });
});

it("a workload that registers itself gets an entry of its group", () => {
  const [group] = objectsOf(documentOf("WorkloadGroup", GROUP));
  const workload = { address: "10.0.0.7", network: "n1", locality: "r/z", labels: { version: "v2" } };
  expect(workloadEntryOf(group as unknown as Resource<"WorkloadGroup">, workload)).toMatchObject({
    kind: "WorkloadEntry",
    metadata: {
      name: expect.stringMatching(/-10\.0\.0\.7-n1$/),
      labels: { app: "db", tier: "b", version: "v2" },
      annotations: { note: "x", "istio.io/autoRegistrationGroup": expect.stringMatching(/^default\//) },
    },
    spec: {
      address: "10.0.0.7",
      network: "n1",
      locality: "r/z",
      serviceAccount: "db",
      ports: { tcp: 5432 },
      labels: { app: "db", tier: "b", version: "v2" },
    },
  });
});
