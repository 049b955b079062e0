import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Resource } from "../kinds/index.ts";
import { objectsOf } from "../testing/findings.ts";
import { assignClusterIp } from "./cluster-ip.ts";
import { type EndpointWorld, endpointsOf } from "./endpoints.ts";
import { serviceFromKubernetes } from "./kubernetes.ts";
import { servicesFromServiceEntry } from "./service-entry.ts";
import { workloadFromPod, workloadNameOf } from "./workload.ts";

function only<K extends Resource["kind"]>(text: string, kind: K): Resource<K> {
  const object = objectsOf(text)[0];
  if (object?.kind !== kind) throw new Error(`expected a ${kind}`);
  return object as unknown as Resource<K>;
}
const service = (spec: string, metadata = "{name: a}") =>
  only(`apiVersion: v1\nkind: Service\nmetadata: ${metadata}\nspec: ${spec}`, "Service");
const entry = (spec: string) =>
  only(`apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: e}\nspec: ${spec}`, "ServiceEntry");
const workloadEntry = (spec: string) =>
  only(`apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: vm}\nspec: ${spec}`, "WorkloadEntry");
const pod = (
  name: string,
  ip: string,
  options: { labels?: string; ready?: boolean; extra?: string; phase?: string } = {},
) =>
  only(
    `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, labels: ${options.labels ?? "{app: a}"}${options.extra ?? ""}}\nspec: {serviceAccountName: sa, containers: [{name: c, ports: [{name: web, containerPort: 8080}, {name: dns, containerPort: 53, protocol: UDP}]}]}\nstatus: {podIP: ${ip}, phase: ${options.phase ?? "Running"}, conditions: [{type: Ready, status: "${options.ready === false ? "False" : "True"}"}]}`,
    "Pod",
  );
const addresses = (found: ReturnType<typeof endpointsOf>) =>
  found.map(({ address, port, portName, ready }) => `${portName} ${address}:${port}${ready ? "" : " unready"}`);

describe("a Kubernetes Service", () => {
  it("with an address is balanced here", () => {
    expect(
      serviceFromKubernetes(
        service(
          "{clusterIP: 10.96.0.9, selector: {app: a}, ports: [{name: http, port: 80, targetPort: web}, {name: dns, port: 53, protocol: UDP}]}",
        ),
      ),
    ).toMatchObject({
      host: "a.default.svc.cluster.local",
      resolution: "clientSide",
      addresses: ["10.96.0.9"],
      headless: false,
      selector: { app: "a" },
      ports: [{ name: "http", number: 80, protocol: "HTTP", targetPort: "web" }],
      meshExternal: false,
      source: "Service/default/a",
    });
  });

  it.each([
    ["clusterIP", "{clusterIP: None, ports: [{port: 80}]}"],
    ["clusterIPs", "{clusterIPs: [None], ports: [{port: 80}]}"],
  ])("without address by %s is passed through", (_, spec) => {
    expect(serviceFromKubernetes(service(spec))).toMatchObject({
      resolution: "passthrough",
      addresses: [],
      headless: true,
    });
  });

  it("has no address where an empty one is listed", () => {
    const spec = '{clusterIP: 10.96.0.9, clusterIPs: [""], ports: [{port: 80}]}';
    expect(serviceFromKubernetes(service(spec)).addresses).toEqual(["10.96.0.9"]);
    expect(serviceFromKubernetes(service('{clusterIPs: [""], ports: [{port: 80}]}')).addresses).toEqual([]);
  });

  it("of type ExternalName stands for another host", () => {
    const alias = serviceFromKubernetes(
      service("{type: ExternalName, externalName: A.Example.com., selector: {app: a}}"),
    );
    expect(alias).toMatchObject({ resolution: "alias", aliasOf: "a.example.com", selector: undefined });
  });

  it("may be exported to some", () => {
    const metadata = '{name: a, annotations: {networking.istio.io/exportTo: "., other"}}';
    expect(serviceFromKubernetes(service("{ports: [{port: 1}]}", metadata)).exportTo).toEqual([".", "other"]);
  });
});

describe("endpoints of a Kubernetes Service", () => {
  const spec = "{selector: {app: a}, ports: [{name: http, port: 80, targetPort: web}, {name: tcp, port: 81}]}";
  const mesh = serviceFromKubernetes(service(spec));

  it("are the pods it selects, by port name or number", () => {
    const pods = [
      pod("p1", "10.0.0.1"),
      pod("p2", "10.0.0.2", { ready: false }),
      pod("p3", "10.0.0.3", { labels: "{app: b}" }),
      pod("p4", "10.0.0.4", { phase: "Succeeded" }),
    ];
    expect(addresses(endpointsOf(mesh, { pods }))).toEqual([
      "http 10.0.0.1:8080",
      "tcp 10.0.0.1:81",
      "http 10.0.0.2:8080 unready",
      "tcp 10.0.0.2:81 unready",
    ]);
  });

  it("carry what policies and metrics need", () => {
    const labels =
      "{app: a, security.istio.io/tlsMode: istio, topology.kubernetes.io/region: r, topology.kubernetes.io/zone: z}";
    const [first] = endpointsOf(mesh, { pods: [pod("a-v1-5d-x", "10.0.0.1", { labels })] });
    expect(first).toMatchObject({
      tlsMode: "istio",
      serviceAccount: "sa",
      locality: "r/z",
      namespace: "default",
      weight: 1,
    });
  });

  it("are those of slices, then of Endpoints, before those of pods", () => {
    const pods = [pod("p1", "10.0.0.1")];
    const endpoints = [
      only(
        "apiVersion: v1\nkind: Endpoints\nmetadata: {name: a}\nsubsets: [{addresses: [{ip: 10.0.0.1}], notReadyAddresses: [{ip: 10.0.0.2}], ports: [{name: http, port: 8080}, {name: other, port: 1}]}]",
        "Endpoints",
      ),
    ];
    const slices = [
      only(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: a-x, labels: {kubernetes.io/service-name: a}}\naddressType: IPv4\nendpoints: [{addresses: [10.0.0.3], conditions: {ready: false}}, {addresses: [10.0.0.1]}, {addresses: [10.0.0.1]}]\nports: [{name: http, port: 8080}]",
        "EndpointSlice",
      ),
    ];
    const world: EndpointWorld = { pods, endpoints };
    expect(addresses(endpointsOf(mesh, world))).toEqual(["http 10.0.0.1:8080", "http 10.0.0.2:8080 unready"]);
    expect(endpointsOf(mesh, world)[0]?.serviceAccount).toBe("sa");
    expect(addresses(endpointsOf(mesh, { ...world, slices }))).toEqual([
      "http 10.0.0.3:8080 unready",
      "http 10.0.0.1:8080",
    ]);
  });

  it("are all ready where the service publishes those that are not", () => {
    const eager = serviceFromKubernetes(
      service(spec.replace("{selector", "{publishNotReadyAddresses: true, selector")),
    );
    expect(addresses(endpointsOf(eager, { pods: [pod("p", "10.0.0.1", { ready: false })] }))).toEqual([
      "http 10.0.0.1:8080",
      "tcp 10.0.0.1:81",
    ]);
  });

  it("include workload entries with its labels", () => {
    const workloadEntries = [
      workloadEntry("{address: 192.0.2.1, labels: {app: a}, ports: {http: 9000}, weight: 3, serviceAccount: vm}"),
    ];
    const found = endpointsOf(mesh, { workloadEntries });
    expect(addresses(found)).toEqual(["http 192.0.2.1:9000", "tcp 192.0.2.1:81"]);
    expect(found[0]).toMatchObject({ weight: 3, serviceAccount: "vm", workload: "vm" });
  });

  it("of an alias are none", () => {
    expect(
      endpointsOf(serviceFromKubernetes(service("{type: ExternalName, externalName: b}")), {
        pods: [pod("p", "10.0.0.1")],
      }),
    ).toEqual([]);
  });
});

describe("a ServiceEntry", () => {
  const HTTP = "ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}]";

  it.each([
    ["NONE", "passthrough"],
    ["STATIC", "clientSide"],
    ["DNS", "dns"],
    ["DNS_ROUND_ROBIN", "dnsRoundRobin"],
  ])("of resolution %s is %s", (resolution, expected) => {
    expect(
      servicesFromServiceEntry(entry(`{hosts: [A.example.com], ${HTTP}, resolution: ${resolution}}`)),
    ).toMatchObject([
      {
        host: "a.example.com",
        resolution: expected,
        registry: "External",
        meshExternal: true,
        ports: [{ number: 80, targetPort: 8080, protocol: "HTTP" }],
      },
    ]);
  });

  it("is one service for each host", () => {
    expect(
      servicesFromServiceEntry(entry(`{hosts: [a.example.com, b.example.com], ${HTTP}}`)).map(({ host }) => host),
    ).toEqual(["a.example.com", "b.example.com"]);
  });

  it.each([
    ["by DNS is its host", "resolution: DNS", ["http a.example.com:8080"]],
    [
      "with endpoints is those",
      "resolution: STATIC, endpoints: [{address: 10.0.0.1}, {address: 10.0.0.2, ports: {http: 9}}]",
      ["http 10.0.0.1:8080", "http 10.0.0.2:9"],
    ],
    ["with a selector is the pods", "resolution: STATIC, workloadSelector: {labels: {app: a}}", ["http 10.0.0.7:8080"]],
    ["without resolution is nothing", "resolution: NONE", []],
  ])("%s", (_, rest, expected) => {
    const [mesh] = servicesFromServiceEntry(entry(`{hosts: [a.example.com], ${HTTP}, ${rest}}`));
    expect(addresses(endpointsOf(mesh!, { pods: [pod("p", "10.0.0.7")] }))).toEqual(expected);
  });
});

describe("a pod", () => {
  it("is a workload once it has an address, until it ends", () => {
    expect(workloadFromPod(pod("p", "10.0.0.1"))).toMatchObject({
      pod: "p",
      address: "10.0.0.1",
      ready: true,
      serviceAccount: "sa",
      containerPorts: [{ name: "web", port: 8080 }],
    });
    expect(workloadFromPod(pod("p", '""'))).toBeUndefined();
    expect(workloadFromPod(pod("p", "10.0.0.1", { phase: "Failed" }))).toBeUndefined();
  });

  it.each([
    ["alone is its own workload", "p", "{app: a}", "", "p"],
    [
      "of a ReplicaSet belongs to the Deployment",
      "a-v1-5d4-x",
      "{pod-template-hash: 5d4}",
      ", ownerReferences: [{kind: ReplicaSet, name: a-v1-5d4, controller: true}]",
      "a-v1",
    ],
    [
      "of a StatefulSet belongs to that",
      "db-0",
      "{app: db}",
      ", ownerReferences: [{kind: StatefulSet, name: db}]",
      "db",
    ],
    ["without owner tells by its hash", "a-v1-5d4-x", "{pod-template-hash: 5d4}", "", "a-v1"],
  ])("%s", (_, name, labels, extra, expected) => {
    expect(workloadNameOf(pod(name, "10.0.0.1", { labels, extra }))).toBe(expected);
  });
});

describe("assignClusterIp", () => {
  it("gives equal keys equal addresses, and never one that is taken", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ minLength: 1 }), { maxLength: 50 }), (keys) => {
        const taken = new Set<string>();
        for (const key of keys) {
          const address = assignClusterIp(key, taken);
          expect(taken.has(address)).toBe(false);
          expect(address).toBe(assignClusterIp(key, taken));
          expect(address).toMatch(/^10\.(9[6-9]|10\d|11[01])\.\d+\.\d+$/);
          taken.add(address);
        }
      }),
      { numRuns: 50 },
    );
  });

  it("takes the next address when its own is taken", () => {
    const first = assignClusterIp("Service/default/a", new Set());
    expect(assignClusterIp("Service/default/a", new Set([first]))).not.toBe(first);
  });
});
