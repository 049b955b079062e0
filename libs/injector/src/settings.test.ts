import { describe, expect, it } from "vitest";
import { objectsOf } from "./json.ts";
import { at, injected, outcome, proxyConfig, refusal, webPod } from "./testing/pods.ts";

const annotated = (annotations: Record<string, string>) => webPod({ annotations });

describe("annotations that are obeyed", () => {
  const proxy = (annotations: Record<string, string>) => injected(annotated(annotations)).container("istio-proxy");
  const init = (annotations: Record<string, string>) =>
    (injected(annotated(annotations)).container("istio-init").args as string[]).join(" ");

  it.each([
    ["includeOutboundIPRanges", "10.0.0.0/8,192.168.1.1", "-i 10.0.0.0/8,192.168.1.1"],
    ["excludeOutboundIPRanges", "10.1.0.0/16", "-x 10.1.0.0/16"],
    ["includeInboundPorts", "80,443", "-b 80,443"],
    ["includeInboundPorts", "", "-b  -d"],
    ["excludeInboundPorts", "81", "15090,81"],
    ["includeOutboundPorts", "82", "-q 82"],
    ["excludeOutboundPorts", "83,84", "-o 83,84"],
    ["kubevirtInterfaces", "net1", "-k net1"],
    ["excludeInterfaces", "eth9", "-c eth9"],
  ])("traffic.sidecar.istio.io/%s: %s", (name, value, expected) => {
    expect(init({ [`traffic.sidecar.istio.io/${name}`]: value })).toContain(expected);
  });

  it("istio.io/reroute-virtual-interfaces", () => {
    expect(init({ "istio.io/reroute-virtual-interfaces": "net2" })).toContain("-k net2");
  });

  it("resources: what is given replaces the defaults", () => {
    const all = { CPU: "1", CPULimit: "2", Memory: "64Mi", MemoryLimit: "1Gi" };
    const annotations = Object.fromEntries(
      Object.entries(all).map(([name, value]) => [`sidecar.istio.io/proxy${name}`, value]),
    );
    expect(proxy(annotations).resources).toEqual({
      requests: { cpu: "1", memory: "64Mi" },
      limits: { cpu: "2", memory: "1Gi" },
    });
    expect(proxy({ "sidecar.istio.io/proxyCPU": "1" }).resources).toEqual({ requests: { cpu: "1" } });
  });

  it("images", () => {
    expect(proxy({ "sidecar.istio.io/proxyImage": "envoys/proxyv2:1.27.0" }).image).toBe("envoys/proxyv2:1.27.0");
    expect(proxy({ "sidecar.istio.io/proxyImageType": "debug" }).image).toBe("lateen/sidecar:0.1.0-debug");
  });

  it("logging", () => {
    expect(
      proxy({
        "sidecar.istio.io/logLevel": "debug",
        "sidecar.istio.io/componentLogLevel": "http:trace",
        "sidecar.istio.io/agentLogLevel": "default:debug",
      }).args,
    ).toEqual(
      expect.arrayContaining([
        "--proxyLogLevel=debug",
        "--proxyComponentLogLevel=http:trace",
        "--log_output_level=default:debug",
      ]),
    );
  });

  it("interception", () => {
    const none = injected(annotated({ "sidecar.istio.io/interceptionMode": "NONE" }));
    expect(none.spec.initContainers).toBeUndefined();
    expect(none.env("ISTIO_META_INTERCEPTION_MODE")).toBe("NONE");
  });

  it("volumes of one's own, as list and as map", () => {
    const { container, names } = injected(
      annotated({
        "sidecar.istio.io/userVolume": '[{"name":"certs","secret":{"secretName":"s"}}]',
        "sidecar.istio.io/userVolumeMount": '{"certs":{"mountPath":"/certs","readOnly":true}}',
      }),
    );
    expect(names("volumes")).toContain("certs");
    expect(objectsOf(container("istio-proxy").volumeMounts)).toContainEqual({
      name: "certs",
      mountPath: "/certs",
      readOnly: true,
    });
  });

  it("readiness and status port", () => {
    const probe = proxy({
      "readiness.status.sidecar.istio.io/failureThreshold": "9",
      "readiness.status.sidecar.istio.io/initialDelaySeconds": "8",
      "readiness.status.sidecar.istio.io/periodSeconds": "7",
    }).readinessProbe;
    expect(probe).toMatchObject({ failureThreshold: 9, initialDelaySeconds: 8, periodSeconds: 7 });
    expect(proxy({ "status.sidecar.istio.io/port": "0" }).readinessProbe).toBeUndefined();
  });

  it("the proxy's configuration: that of the pod over the mesh's", () => {
    const { env } = injected(
      annotated({ "proxy.istio.io/config": "concurrency: 3\nproxyMetadata: { ISTIO_META_DNS_CAPTURE: 'true' }" }),
      { mesh: "defaultConfig: { concurrency: 1, drainDuration: 45s, discoveryAddress: 'pilot.other:15012' }" },
    );
    expect(JSON.parse(String(env("PROXY_CONFIG")))).toEqual({
      concurrency: 3,
      drainDuration: "45s",
      discoveryAddress: "pilot.other:15012",
      proxyMetadata: { ISTIO_META_DNS_CAPTURE: "true" },
    });
    expect(env("ISTIO_META_DNS_CAPTURE")).toBe("true");
    expect(env("ISTIO_META_DNS_CAPTURE", "istio-init")).toBe("true");
  });

  it("discovery address, before that of the mesh", () => {
    const { env } = injected(annotated({ "sidecar.istio.io/discoveryAddress": "pilot.mine:15012" }));
    expect(env("PROXY_CONFIG")).toContain("pilot.mine:15012");
  });

  it("a bootstrap for Envoy", () => {
    const { env, container } = injected(
      annotated({ "sidecar.istio.io/bootstrapOverride": "boot", "sidecar.istio.io/proxyImage": "envoy:1" }),
    );
    expect(env("ISTIO_BOOTSTRAP_OVERRIDE")).toBe("/etc/istio/custom-bootstrap/custom_bootstrap.json");
    expect(objectsOf(container("istio-proxy").volumeMounts).map(({ name }) => name)).toContain(
      "custom-bootstrap-volume",
    );
  });
});

describe("annotations that are refused, with the reason", () => {
  it.each([
    ["sidecar.istio.io/proxyCPU", "lots", "is not a quantity"],
    ["sidecar.istio.io/proxyMemoryLimit", "1GiB", "is not a quantity"],
    ["sidecar.istio.io/proxyImage", "a b", "is not the name of an image"],
    ["sidecar.istio.io/proxyImageType", "Big!", "is not the type of an image"],
    ["sidecar.istio.io/logLevel", "loud", "is not one of trace"],
    ["sidecar.istio.io/componentLogLevel", "a=b", "is not a list of component:level"],
    ["sidecar.istio.io/interceptionMode", "TPROXY", "TPROXY cannot be honoured"],
    ["sidecar.istio.io/interceptionMode", "SOME", "is not one of REDIRECT, NONE"],
    ["sidecar.istio.io/rewriteAppHTTPProbers", "maybe", "is neither true nor false"],
    ["sidecar.istio.io/nativeSidecar", "2", "is neither true nor false"],
    ["sidecar.istio.io/userVolume", "{", "is not JSON"],
    ["sidecar.istio.io/userVolumeMount", '[{"mountPath":"/x"}]', "has an item without a name"],
    ["sidecar.istio.io/bootstrapOverride", "boot", "needs an Envoy"],
    ["sidecar.istio.io/enableCoreDump", "true", "cannot be honoured"],
    ["sidecar.istio.io/discoveryAddress", "nowhere", "is not host:port"],
    ["status.sidecar.istio.io/port", "70000", "is not a number from 0 to 65535"],
    ["readiness.status.sidecar.istio.io/periodSeconds", "-1", "is not a number"],
    ["readiness.status.sidecar.istio.io/applicationPorts", "80;81", "is not a list of ports"],
    ["prometheus.istio.io/merge-metrics", "no way", "is neither true nor false"],
    ["proxy.istio.io/config", "concurrency: many", "concurrency"],
    ["proxy.istio.io/config", "concurency: 1", "did you mean"],
    ["proxy.istio.io/config", "[]", "is not a map"],
    ["proxy.istio.io/overrides", "containers: 3", "containers"],
    ["traffic.sidecar.istio.io/includeOutboundIPRanges", "10.0.0.0/33", '"10.0.0.0/33" cannot be used'],
    ["traffic.sidecar.istio.io/excludeInboundPorts", "http", '"http" cannot be used'],
    ["traffic.sidecar.istio.io/excludeInterfaces", "a;reboot", "cannot be used"],
  ])("%s: %s", (name, value, reason) => {
    const [problem, ...others] = refusal(annotated({ [name]: value }));
    expect(others).toEqual([]);
    expect(problem).toContain(name);
    expect(problem).toContain(reason);
  });

  it("are all named at once", () => {
    expect(refusal(annotated({ "sidecar.istio.io/proxyCPU": "x", "status.sidecar.istio.io/port": "y" }))).toHaveLength(
      2,
    );
  });
});

it.each([
  ["sidecar.istio.io/statsInclusionPrefixes", "has no effect"],
  ["readiness.status.sidecar.istio.io/applicationPorts", "has no effect"],
  ["sidecar.istio.io/proxyCpu", "did you mean sidecar.istio.io/proxyCPU?"],
])("warns about %s", (name, warning) => {
  expect(injected(annotated({ [name]: "80" })).warnings.join()).toContain(warning);
});

describe("values", () => {
  it("change images, places and what is captured", () => {
    const values = `
revision: canary
global:
  hub: example.test/mesh
  tag: 7
  variant: small
  imagePullPolicy: Always
  imagePullSecrets: [pull]
  caAddress: ca.example.test:8060
  meshID: m
  multiCluster: { clusterName: west }
  podDNSSearchNamespaces: [global]
  proxy: { excludeIPRanges: 10.9.0.0/16, statusPort: 15999, startupProbe: { enabled: false } }
pilot: { env: { ENABLE_LEGACY_FSGROUP_INJECTION: true } }
`;
    const { container, env, spec, metadata } = injected(webPod(), { values });
    const proxy = container("istio-proxy");
    expect(proxy).toMatchObject({ image: "example.test/mesh/sidecar:7-small", imagePullPolicy: "Always" });
    expect(proxy.startupProbe).toBeUndefined();
    expect(env("CA_ADDR")).toBe("ca.example.test:8060");
    expect(env("ISTIO_META_MESH_ID")).toBe("m");
    expect(env("ISTIO_META_CLUSTER_ID")).toBe("west");
    expect(env("PROXY_CONFIG")).toContain('"statusPort":15999');
    expect(container("istio-init").args).toContain("22,15008,15020,15021,15090,15999");
    expect(spec).toMatchObject({
      imagePullSecrets: [{ name: "pull" }],
      dnsConfig: { searches: ["global"] },
      securityContext: { fsGroup: 1337 },
    });
    expect(container("istio-init").args).toContain("10.9.0.0/16");
    expect(at(metadata, "labels", "istio.io/rev")).toBe("canary");
  });

  it("inject annotations unless the pod has them", () => {
    const config = 'injectedAnnotations: { a: "1", b: "2" }';
    const { metadata } = injected(annotated({ b: "own" }), { config });
    expect(metadata.annotations).toMatchObject({ a: "1", b: "own" });
  });
});

describe("ProxyConfig objects: over the mesh's defaultConfig, below the pod's annotation", () => {
  const MESH = { mesh: "defaultConfig: { concurrency: 1, proxyMetadata: { A: mesh }, image: { imageType: mesh } }" };
  const root = proxyConfig("istio-system", { concurrency: 2, environmentVariables: { A: "root", B: "root" } });
  const wide = proxyConfig("shop", { environmentVariables: { B: "wide" }, image: { imageType: "wide" } });
  const selector = { matchLabels: { app: "web" } };
  const own = proxyConfig("shop", { selector, concurrency: 3, image: { imageType: "own" } });
  const others = [
    proxyConfig("shop", { selector: { matchLabels: { app: "api" } }, concurrency: 9 }),
    proxyConfig("other", { concurrency: 9 }),
  ];
  const annotation = "concurrency: 0\nproxyMetadata: { C: pod }\nimage: { imageType: default }";
  it.each<[string, Parameters<typeof injected>[2], string | undefined, number, Record<string, string>, string]>([
    ["mesh", others, undefined, 1, { A: "mesh" }, "0.1.0-mesh"],
    ["root namespace", [root], undefined, 2, { A: "root", B: "root" }, "0.1.0-mesh"],
    ["namespace", [wide, root], undefined, 2, { A: "root", B: "wide" }, "0.1.0-wide"],
    ["workload", [wide, ...others, own, root], undefined, 3, { A: "root", B: "wide" }, "0.1.0-own"],
    ["pod", [wide, own, root], annotation, 0, { A: "root", B: "wide", C: "pod" }, "0.1.0"],
  ])("%s", (_title, objects, text, concurrency, variables, tag) => {
    const pod = annotated(text === undefined ? {} : { "proxy.istio.io/config": text });
    const { env, container } = injected(pod, MESH, objects);
    const told = JSON.parse(String(env("PROXY_CONFIG"))) as object;
    expect(told).toMatchObject({ concurrency, proxyMetadata: variables });
    const seen = (of: string) =>
      Object.fromEntries(
        ["A", "B", "C"].flatMap((name) => (env(name, of) === undefined ? [] : [[name, env(name, of)]])),
      );
    expect(seen("istio-proxy")).toEqual(variables);
    expect(seen("istio-init")).toEqual(variables);
    expect(container("istio-proxy").image).toBe(`lateen/sidecar:${tag}`);
    expect(container("istio-init").image).toBe(`lateen/sidecar:${tag}`);
  });

  it("the type of the image by its own annotation before all", () => {
    const { container } = injected(annotated({ "sidecar.istio.io/proxyImageType": "debug" }), {}, [own]);
    expect(container("istio-proxy").image).toBe("lateen/sidecar:0.1.0-debug");
  });

  it("a type of image that is none refuses the pod", () => {
    const pod = annotated({ "proxy.istio.io/config": "image: { imageType: 'Big!' }" });
    expect(outcome(pod)).toMatchObject({ ok: false, error: [expect.stringContaining("image.imageType")] });
  });
});
