import { describe, expect, it } from "vitest";
import { objectsOf } from "./json.ts";
import { at, injected, outcome, refusal, webPod } from "./testing/pods.ts";

describe("the sidecar", () => {
  it("is the proxy, the rules, and what both need", () => {
    const { names, container, env, spec } = injected(webPod());
    expect(names("initContainers")).toEqual(["istio-init"]);
    expect(names("containers")).toEqual(["istio-proxy", "app"]);
    expect(names("volumes")).toEqual([
      "workload-socket",
      "credential-socket",
      "workload-certs",
      "istiod-ca-cert",
      "istio-data",
      "istio-envoy",
      "istio-token",
      "istio-podinfo",
    ]);
    expect(at(spec, "volumes", 6, "projected", "sources", 0, "serviceAccountToken")).toEqual({
      path: "istio-token",
      expirationSeconds: 43_200,
      audience: "istio-ca",
    });
    const proxy = container("istio-proxy");
    expect(proxy.image).toBe("lateen/sidecar:0.1.0");
    expect(proxy.args).toEqual([
      "proxy",
      "sidecar",
      "--domain",
      "$(POD_NAMESPACE).svc.cluster.local",
      "--proxyLogLevel=warning",
      "--proxyComponentLogLevel=misc:error",
      "--log_output_level=default:info",
    ]);
    expect(proxy.resources).toEqual({
      requests: { cpu: "100m", memory: "128Mi" },
      limits: { cpu: "2000m", memory: "1024Mi" },
    });
    expect(at(proxy, "readinessProbe", "httpGet")).toEqual({ path: "/healthz/ready", port: 15_021 });
    expect(container("istio-init").args).toEqual(
      `istio-iptables -p 15001 -z 15006 -u 1337 -m REDIRECT -i * -x  -b * -d 22,15008,15020,15021,15090 --log_output_level=default:info`.split(
        " ",
      ),
    );
    expect(env("ISTIO_META_POD_PORTS")).toBe('[{"name":"http","containerPort":8080}]');
    expect(env("ISTIO_META_APP_CONTAINERS")).toBe("app");
    expect(env("ISTIO_META_CLUSTER_ID")).toBe("Kubernetes");
    expect(env("ISTIO_META_INTERCEPTION_MODE")).toBe("REDIRECT");
    expect(env("ISTIO_META_WORKLOAD_NAME")).toBe("web-1");
    expect(env("TRUST_DOMAIN")).toBe("cluster.local");
    expect(env("PROXY_CONFIG")).toBe('{"discoveryAddress":"istiod.istio-system.svc:15012"}');
    const fields = objectsOf(proxy.env).flatMap(({ name, valueFrom }) => {
      const path = at(valueFrom, "fieldRef", "fieldPath");
      return path === undefined ? [] : [[name, path]];
    });
    expect(Object.fromEntries(fields)).toEqual({
      POD_NAME: "metadata.name",
      POD_NAMESPACE: "metadata.namespace",
      INSTANCE_IP: "status.podIP",
      SERVICE_ACCOUNT: "spec.serviceAccountName",
      HOST_IP: "status.hostIP",
      ISTIO_META_NODE_NAME: "spec.nodeName",
    });
  });

  it("meets the restricted standard, its init container needs two capabilities", () => {
    const { container } = injected(webPod());
    expect(container("istio-proxy").securityContext).toEqual({
      allowPrivilegeEscalation: false,
      capabilities: { drop: ["ALL"] },
      privileged: false,
      readOnlyRootFilesystem: true,
      runAsGroup: 1337,
      runAsNonRoot: true,
      runAsUser: 1337,
      seccompProfile: { type: "RuntimeDefault" },
    });
    expect(at(container("istio-init"), "securityContext", "capabilities")).toEqual({
      add: ["NET_ADMIN", "NET_RAW"],
      drop: ["ALL"],
    });
  });

  it("tells what it is by labels and annotations, and leaves what the pod says", () => {
    const { metadata } = injected(
      webPod({
        labels: { app: "web", version: "v2", "service.istio.io/canonical-name": "shop" },
        annotations: { a: "b" },
      }),
    );
    expect(metadata.labels).toEqual({
      app: "web",
      version: "v2",
      "service.istio.io/canonical-name": "shop",
      "security.istio.io/tlsMode": "istio",
      "service.istio.io/canonical-revision": "v2",
      "istio.io/rev": "default",
    });
    expect(metadata.annotations).toMatchObject({
      a: "b",
      "istio.io/rev": "default",
      "kubectl.kubernetes.io/default-container": "app",
      "kubectl.kubernetes.io/default-logs-container": "app",
    });
    expect(JSON.parse(String(at(metadata, "annotations", "sidecar.istio.io/status")))).toEqual({
      initContainers: ["istio-init"],
      containers: ["istio-proxy"],
      volumes: expect.arrayContaining(["istio-token"]),
      imagePullSecrets: null,
      revision: "default",
    });
  });

  it("is put in once", () => {
    const { pod } = injected(webPod());
    expect(outcome(pod)).toEqual({ ok: true, value: { injected: false, reason: "already-injected" } });
  });

  it("leaves everything else of the pod alone", () => {
    const extra = {
      nodeSelector: { disk: "ssd" },
      unknownField: [1, { a: null }],
      volumes: [{ name: "v", emptyDir: {} }],
    };
    const { spec, pod } = injected({ ...webPod({}, extra), status: { phase: "Pending" } });
    expect(spec).toMatchObject({ nodeSelector: { disk: "ssd" }, unknownField: [1, { a: null }] });
    expect(at(spec, "volumes", 0)).toEqual({ name: "v", emptyDir: {} });
    expect(pod.status).toEqual({ phase: "Pending" });
  });
});

describe("who starts first", () => {
  it("is the proxy, whose hook returns when it is ready", () => {
    expect(at(injected(webPod()).container("istio-proxy"), "lifecycle", "postStart")).toEqual({
      exec: { command: ["pilot-agent", "wait"] },
    });
  });

  it.each([
    ["the pod", { "proxy.istio.io/config": "holdApplicationUntilProxyStarts: false" }, {}],
    ["the mesh", {}, { mesh: "defaultConfig: { holdApplicationUntilProxyStarts: false }" }],
    ["the values", {}, { set: ["global.proxy.holdApplicationUntilProxyStarts=false"] }],
  ])("is the application when %s says so", (_title, annotations, texts) => {
    const { names, container } = injected(webPod({ annotations }), texts);
    expect(names("containers")).toEqual(["app", "istio-proxy"]);
    expect(at(container("istio-proxy"), "lifecycle", "postStart")).toBeUndefined();
  });

  it("is nobody before other init containers without a native sidecar, for the rules come last", () => {
    const { names } = injected(webPod({}, { initContainers: [{ name: "migrate" }] }));
    expect(names("initContainers")).toEqual(["migrate", "istio-init"]);
  });
});

describe("who stops last", () => {
  const hook = (texts: Parameters<typeof injected>[1], annotations = {}) =>
    at(injected(webPod({ annotations }), texts).container("istio-proxy"), "lifecycle", "preStop");
  const lasting = (duration: string) => ({ "proxy.istio.io/config": `terminationDrainDuration: ${duration}` });

  it("is the proxy: it goes on for as long as a drain may take, and only then hears that it is to drain", () => {
    expect(hook({})).toEqual({ sleep: { seconds: 5 } });
    expect(hook({ kubernetesMinor: 30 }, lasting("20s"))).toEqual({ sleep: { seconds: 20 } });
    expect(hook({}, lasting("0s"))).toBeUndefined();
  });

  it("is a gateway's proxy, too", () => {
    expect(hook({}, { "inject.istio.io/templates": "gateway" })).toEqual({ sleep: { seconds: 5 } });
  });

  it("is left to others where containers cannot sleep, where the proxy is stopped last anyway, and where values say it", () => {
    expect(hook({ kubernetesMinor: 29 })).toBeUndefined();
    expect(hook({ kubernetesMinor: 33 })).toBeUndefined();
    expect(hook({ values: "global: { proxy: { lifecycle: { preStop: { exec: { command: [x] } } } } }" })).toEqual({
      exec: { command: ["x"] },
    });
  });
});

describe("native sidecars", () => {
  const native = { set: ["pilot.env.ENABLE_NATIVE_SIDECARS=true"] };
  it("are init containers that keep running, after the rules and before the others", () => {
    const { names, container } = injected(webPod({}, { initContainers: [{ name: "migrate" }] }), native);
    expect(names("initContainers")).toEqual(["istio-init", "istio-proxy", "migrate"]);
    expect(names("containers")).toEqual(["app"]);
    expect(container("istio-proxy")).toMatchObject({
      restartPolicy: "Always",
      startupProbe: { httpGet: { path: "/healthz/ready", port: 15_021 }, periodSeconds: 1 },
    });
    expect(container("istio-proxy").lifecycle).toBeUndefined();
  });

  const job = { restartPolicy: "Never" };
  const annotated = (value: string) => ({ annotations: { "sidecar.istio.io/nativeSidecar": value } });
  it.each<[string, Record<string, unknown>, Record<string, unknown>, object, boolean]>([
    ["not known version", {}, {}, {}, false],
    ["1.28", {}, {}, { kubernetesMinor: 28 }, false],
    ["1.33", {}, {}, { kubernetesMinor: 33 }, true],
    ["1.33, off", {}, {}, { kubernetesMinor: 33, set: ["pilot.env.ENABLE_NATIVE_SIDECARS=false"] }, false],
    ["annotation true", annotated("true"), {}, {}, true],
    ["annotation false", annotated("false"), {}, native, false],
    ["a pod that ends", {}, job, {}, true],
    ["a pod that ends, 1.28", {}, job, { kubernetesMinor: 28 }, false],
    ["a pod that ends, off", annotated("false"), job, {}, false],
    [
      "a Job's pod",
      { ownerReferences: [{ kind: "Job", name: "j", apiVersion: "batch/v1", controller: true }] },
      {},
      {},
      true,
    ],
  ])("%s", (_title, metadata, spec, texts, expected) => {
    const { container } = injected(webPod(metadata, spec), texts);
    expect(container("istio-proxy").restartPolicy).toBe(expected ? "Always" : undefined);
  });

  it("says how a Job can end otherwise", () => {
    const { warnings } = injected(webPod(annotated("false"), job));
    expect(warnings.join()).toContain("quitquitquit");
  });
});

describe("the workload", () => {
  const owned = (kind: string, name: string, labels = {}) => ({
    ...{ name: "", generateName: `${name}-`, labels },
    ownerReferences: [{ apiVersion: kind === "Job" ? "batch/v1" : "apps/v1", kind, name, controller: true }],
  });
  it.each([
    [owned("ReplicaSet", "web-abc", { "pod-template-hash": "abc" }), "web", "apps/v1/namespaces/shop/deployments/web"],
    [owned("ReplicaSet", "web-abc"), "web-abc", "apps/v1/namespaces/shop/replicasets/web-abc"],
    [owned("StatefulSet", "db"), "db", "apps/v1/namespaces/shop/statefulsets/db"],
    [owned("Job", "backup-28123456"), "backup", "batch/v1/namespaces/shop/cronjobs/backup"],
    [owned("Job", "once"), "once", "batch/v1/namespaces/shop/jobs/once"],
    [{ name: "", generateName: "bare-" }, "bare", "v1/namespaces/shop/pods/bare"],
  ])("%#", (metadata, name, url) => {
    const { env } = injected(webPod(metadata));
    expect(env("ISTIO_META_WORKLOAD_NAME")).toBe(name);
    expect(env("ISTIO_META_OWNER")).toBe(`kubernetes://apis/${url}`);
  });
});

describe("what the author says about istio-proxy", () => {
  it("wins over the template; image auto is the injected one", () => {
    const own = {
      name: "istio-proxy",
      image: "auto",
      env: [
        { name: "TRUST_DOMAIN", value: "mine" },
        { name: "MORE", value: "1" },
      ],
      resources: { requests: { cpu: "1" } },
      volumeMounts: [{ name: "v", mountPath: "/v" }],
    };
    const app = { name: "app", image: "web:1" };
    const { container, env, names } = injected(webPod({}, { containers: [app, own] }));
    expect(names("containers")).toEqual(["istio-proxy", "app"]);
    expect(container("istio-proxy").image).toBe("lateen/sidecar:0.1.0");
    expect(env("TRUST_DOMAIN")).toBe("mine");
    expect(env("MORE")).toBe("1");
    expect(at(container("istio-proxy"), "resources", "requests")).toEqual({ cpu: "1", memory: "128Mi" });
    expect(objectsOf(container("istio-proxy").volumeMounts).map(({ mountPath }) => mountPath)).toContain("/v");
  });

  it("may come by annotation, and names the image if it wants", () => {
    const overrides = JSON.stringify({ containers: [{ name: "istio-proxy", image: "my/envoy:1", tty: true }] });
    const { container } = injected(webPod({ annotations: { "proxy.istio.io/overrides": overrides } }));
    expect(container("istio-proxy")).toMatchObject({ image: "my/envoy:1", tty: true });
  });

  it("is refused when no template has the container", () => {
    const containers = [
      { name: "istio-init", image: "x" },
      { name: "istio-proxy", image: "auto" },
    ];
    const annotations = { "inject.istio.io/templates": "gateway" };
    expect(refusal(webPod({ annotations }, { containers }))).toEqual([
      "container istio-init: no template of this pod has it",
    ]);
  });
});

describe("templates", () => {
  it("gateway: a router without capture", () => {
    const { container, names, spec, env } = injected(
      webPod(
        { annotations: { "inject.istio.io/templates": "gateway" } },
        { containers: [{ name: "istio-proxy", image: "auto" }] },
      ),
    );
    expect(names("containers")).toEqual(["istio-proxy"]);
    expect(spec.initContainers).toBeUndefined();
    expect(at(container("istio-proxy"), "args", 1)).toBe("router");
    expect(env("ISTIO_META_INTERCEPTION_MODE")).toBe("NONE");
    expect(at(spec, "securityContext", "sysctls", 0, "name")).toBe("net.ipv4.ip_unprivileged_port_start");
  });

  const config = `
templates:
  greet: |
    metadata:
      labels:
        greeting: {{ index .ObjectMeta.Labels "app" }}
    spec:
      containers:
      - name: istio-proxy
        env:
        - { name: GREETING, value: "hello {{ .DeploymentMeta.Name }} of {{ .Values.global.network }}" }
  list: "- 1"
  fails: "{{ index .Spec.Containers 9 }}"
aliases:
  both: [sidecar, greet]
`;
  const values = "global: { network: n1 }";
  it.each(["sidecar,greet", "both"])("%s: the operator's own, over the built-in one", (names) => {
    const { env, metadata } = injected(webPod({ annotations: { "inject.istio.io/templates": names } }), {
      config,
      values,
    });
    expect(env("GREETING")).toBe("hello web-1 of n1");
    expect(env("ISTIO_META_NETWORK")).toBe("n1");
    expect(at(metadata, "labels", "greeting")).toBe("web");
  });

  it.each([
    ["nosuch", 'annotation inject.istio.io/templates: "nosuch" names the template "nosuch", which does not exist here'],
    [
      "grpc-agent",
      'annotation inject.istio.io/templates: "grpc-agent" names the template "grpc-agent", which does not exist here',
    ],
    ["sidecar,list", "template list: its result is no map"],
    ["sidecar,fails", "template fails: line 1: index: there is no item 9"],
  ])("%s is refused", (names, problem) => {
    const pod = webPod({ annotations: { "inject.istio.io/templates": names } });
    expect(refusal(pod, { config })).toEqual([problem]);
  });
});

describe("probes and metrics", () => {
  const probe = {
    httpGet: { path: "/ok", port: "http", httpHeaders: [{ name: "Host", value: "x" }] },
    periodSeconds: 3,
  };
  const app = {
    ...{ name: "app", image: "web:1", ports: [{ name: "http", containerPort: 8080 }] },
    readinessProbe: probe,
    livenessProbe: { tcpSocket: { port: 9000 }, timeoutSeconds: 7 },
    startupProbe: { grpc: { port: 7000, service: "s" } },
    lifecycle: { preStop: { httpGet: { path: "/bye", port: 8080 } }, postStart: { exec: { command: ["x"] } } },
  };
  const pod = (more = {}, annotations = {}) => webPod({ annotations }, { containers: [{ ...app, ...more }] });

  it("are made by the status port, which knows the originals", () => {
    const { container, env } = injected(pod());
    expect(container("app")).toMatchObject({
      readinessProbe: { httpGet: { path: "/app-health/app/readyz", port: 15_020 }, periodSeconds: 3 },
      livenessProbe: { httpGet: { path: "/app-health/app/livez", port: 15_020 }, timeoutSeconds: 7 },
      startupProbe: { httpGet: { path: "/app-health/app/startupz", port: 15_020 } },
      lifecycle: {
        preStop: { httpGet: { path: "/app-lifecycle/app/prestopz", port: 15_020 } },
        postStart: { exec: { command: ["x"] } },
      },
    });
    expect(container("app").livenessProbe).not.toHaveProperty("tcpSocket");
    expect(JSON.parse(String(env("ISTIO_KUBE_APP_PROBERS")))).toEqual({
      "/app-health/app/readyz": { httpGet: { ...probe.httpGet, port: 8080 }, timeoutSeconds: 1 },
      "/app-health/app/livez": { tcpSocket: { port: 9000 }, timeoutSeconds: 7 },
      "/app-health/app/startupz": { grpc: { port: 7000, service: "s" }, timeoutSeconds: 1 },
      "/app-lifecycle/app/prestopz": { httpGet: { path: "/bye", port: 8080 } },
    });
  });

  it.each<[string, object, Record<string, string>, object]>([
    ["by annotation", {}, { "sidecar.istio.io/rewriteAppHTTPProbers": "false" }, {}],
    ["by value", {}, {}, { set: ["sidecarInjectorWebhook.rewriteAppHTTPProbe=false"] }],
    ["without a status port", {}, { "status.sidecar.istio.io/port": "0" }, {}],
  ])("stay as they are %s", (_title, more, annotations, texts) => {
    const { container, env } = injected(pod(more, annotations), texts);
    expect(container("app")).toMatchObject(app);
    expect(env("ISTIO_KUBE_APP_PROBERS")).toBeUndefined();
  });

  it.each([
    ["commands", { exec: { command: ["true"] } }],
    ["other hosts", { httpGet: { host: "10.0.0.9", port: 80 } }],
    ["ports without a number", { httpGet: { port: "nosuch" } }],
  ])("of %s stay", (_title, readinessProbe) => {
    expect(injected(pod({ readinessProbe })).container("app").readinessProbe).toEqual(readinessProbe);
  });

  it("of Prometheus go to the proxy, which knows the application's", () => {
    const annotations = { "prometheus.io/scrape": "true", "prometheus.io/port": "9100", "prometheus.io/path": "/m" };
    const { metadata, env } = injected(pod({}, annotations));
    expect(metadata.annotations).toMatchObject({
      "prometheus.io/scrape": "true",
      "prometheus.io/port": "15020",
      "prometheus.io/path": "/stats/prometheus",
    });
    expect(JSON.parse(String(env("ISTIO_PROMETHEUS_ANNOTATIONS")))).toEqual({
      scrape: "true",
      port: "9100",
      path: "/m",
    });
  });

  it.each<[string, Record<string, string>, object]>([
    ["annotation", { "prometheus.istio.io/merge-metrics": "false" }, {}],
    ["mesh", {}, { mesh: "enablePrometheusMerge: false" }],
  ])("of Prometheus stay by %s", (_title, annotations, texts) => {
    const { metadata } = injected(pod({}, { ...annotations, "prometheus.io/port": "9100" }), texts);
    expect(at(metadata, "annotations", "prometheus.io/port")).toBe("9100");
  });
});
