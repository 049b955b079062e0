import { describe, expect, it } from "vitest";
import {
  acceptedNames,
  bookinfo,
  chainsOf,
  compilerFor,
  httpManagerOf,
  type NodeOptions,
  nodeOf,
  objectsFrom,
  ProxyView,
  pod,
  service,
  upstreamTlsOf,
} from "./testing/mesh.ts";

const GATEWAYS = [
  service("istio-ingressgateway", "10.96.0.1", ["http2:80:8080", "https:443:8443", "http-alt:8080:8080"], {
    namespace: "istio-system",
    selector: { istio: "ingressgateway" },
  }),
  service("istio-egressgateway", "10.96.0.2", ["http2:80:8080", "https:443:8443"], {
    namespace: "istio-system",
    selector: { istio: "egressgateway" },
  }),
  pod("egress-1", "127.64.1.2", { istio: "egressgateway" }, { namespace: "istio-system", mesh: false }),
].join("");

const PODS = ["productpage-v1", "details-v1", "details-v2", "ratings-v1", "reviews-v1", "reviews-v2", "reviews-v3"]
  .map((name, index) => {
    const [app = "", version = ""] = name.split("-");
    return pod(`${name}-1`, `127.64.0.${index + 1}`, { app, version }, { account: `bookinfo-${app}` });
  })
  .join("");

function mesh(...rules: readonly string[]) {
  const files = ["bookinfo", "destination-rules", "gateway", ...rules.map((rule) => `rules/${rule}`)];
  const registryOnly = rules.includes("egress") ? { outboundTrafficPolicy: { mode: "REGISTRY_ONLY" as const } } : {};
  const compiler = compilerFor([...bookinfo(...files), ...objectsFrom(GATEWAYS, PODS)], registryOnly);
  return (node: NodeOptions) => new ProxyView(compiler, nodeOf(node));
}

const app = (name: string, version = "v1"): NodeOptions => ({
  labels: { app: name, version },
  ports: [{ containerPort: 9080 }],
});
const router = (istio: string): NodeOptions => ({ kind: "router", namespace: "istio-system", labels: { istio } });

/** Where requests of a virtual host go, in order. */
function destinations(view: ProxyView, routes: string, host: string): readonly string[] {
  return view.virtualHost(routes, host).routes.map((route) => {
    const action = route.action;
    if (action?.$case !== "route") return String(action?.$case);
    const to = action.value.clusterSpecifier;
    if (to?.$case === "cluster") return to.value;
    return to?.$case === "weightedClusters"
      ? to.value.clusters.map(({ name, weight }) => `${weight} ${name}`).join(", ")
      : "";
  });
}

describe("Bookinfo without rules", () => {
  const view = mesh()(app("productpage"));

  it("gives every service its clusters, one per subset", () => {
    expect(view.names("cluster").filter((name) => name.includes("reviews"))).toEqual([
      "outbound|9080||reviews.default.svc.cluster.local",
      "outbound|9080|v1|reviews.default.svc.cluster.local",
      "outbound|9080|v2|reviews.default.svc.cluster.local",
      "outbound|9080|v3|reviews.default.svc.cluster.local",
    ]);
    expect(view.names("cluster").slice(-4)).toEqual([
      "BlackHoleCluster",
      "PassthroughCluster",
      "InboundPassthroughCluster",
      "inbound|9080||",
    ]);
  });

  it("shares one HTTP listener and one route table per port", () => {
    expect(view.names("listener")).toEqual(
      expect.arrayContaining(["0.0.0.0_9080", "virtualOutbound", "virtualInbound"]),
    );
    expect(chainsOf(view.listener("0.0.0.0_9080"))).toEqual(["* → http rds 9080"]);
    expect(destinations(view, "9080", "ratings")).toEqual(["outbound|9080||ratings.default.svc.cluster.local"]);
    expect(view.route("9080").virtualHosts.at(-1)?.name).toBe("allow_any");
  });

  it("splits the endpoints by subset and marks those that take mesh mTLS", () => {
    expect(view.endpoints("outbound|9080||reviews.default.svc.cluster.local")).toEqual([
      "127.64.0.5:9080+",
      "127.64.0.6:9080+",
      "127.64.0.7:9080+",
    ]);
    expect(view.endpoints("outbound|9080|v2|reviews.default.svc.cluster.local")).toEqual(["127.64.0.6:9080+"]);
    expect(view.endpoints("outbound|80||istio-egressgateway.istio-system.svc.cluster.local")).toEqual([
      "127.64.1.2:8080",
    ]);
  });

  it("accepts only the identities behind the service", () => {
    const tls = upstreamTlsOf(view.cluster("outbound|9080|v1|reviews.default.svc.cluster.local"));
    expect(acceptedNames(tls)).toEqual(["uri exact spiffe://cluster.local/ns/default/sa/bookinfo-reviews"]);
    expect(tls?.sni).toBe("outbound_.9080_.v1_.reviews.default.svc.cluster.local");
  });

  it("answers names with the addresses of the services", () => {
    expect(view.nameTable().table["istio-ingressgateway.istio-system.svc.cluster.local"]).toMatchObject({
      ips: ["10.96.0.1"],
      registry: "Kubernetes",
      shortname: "istio-ingressgateway",
      namespace: "istio-system",
    });
  });

  it("takes both plaintext and mesh mTLS in", () => {
    expect(chainsOf(view.listener("virtualInbound")).filter((chain) => chain.startsWith("port 9080"))).toEqual([
      "port 9080 tls istio-http/1.0,istio-http/1.1,istio-h2,istio-peer-exchange,istio → mtls http inbound|9080||",
      "port 9080 raw_buffer → http inbound|9080||",
    ]);
  });
});

describe("the ingress gateway", () => {
  const view = mesh()(router("ingressgateway"));

  it("listens where its service leads, and routes the paths of the page", () => {
    expect(view.names("listener")).toEqual(["0.0.0.0_8080"]);
    expect(view.names("route")).toEqual(["http.8080"]);
    const { routes } = view.virtualHost("http.8080", "*");
    expect(routes.map((route) => route.match?.pathSpecifier)).toEqual([
      { $case: "path", value: "/" },
      { $case: "path", value: "/productpage" },
      { $case: "path", value: "/login" },
      { $case: "path", value: "/logout" },
      { $case: "prefix", value: "/api/v1/products" },
    ]);
    expect(new Set(destinations(view, "http.8080", "*"))).toEqual(
      new Set(["outbound|9080||productpage.default.svc.cluster.local"]),
    );
  });
});

describe("rules", () => {
  const to = (subset: string, host: string) => `outbound|9080|${subset}|${host}.default.svc.cluster.local`;

  it.each([
    ["all-v1", "reviews", [to("v1", "reviews")]],
    ["reviews-90-10", "reviews", [`90 ${to("v1", "reviews")}, 10 ${to("v3", "reviews")}`]],
    ["reviews-tester-v2", "reviews", [to("v2", "reviews"), to("v1", "reviews")]],
    ["ratings-v2", "ratings", [to("v2", "ratings")]],
    ["ratings-delay", "ratings", [to("v1", "ratings"), to("v1", "ratings")]],
  ])("%s sends %s where it says", (rule, host, expected) => {
    expect(destinations(mesh(rule)(app("productpage")), "9080", host)).toEqual(expected);
  });

  it("strict-mtls leaves no way in for plaintext", () => {
    const chains = chainsOf(mesh("strict-mtls")(app("ratings")).listener("virtualInbound"));
    expect(chains).toEqual([
      "port 15006 → tcp BlackHoleCluster",
      "port 9080 tls → mtls http inbound|9080||",
      "tls istio-http/1.0,istio-http/1.1,istio-h2 → mtls http InboundPassthroughCluster",
      "tls → mtls tcp InboundPassthroughCluster",
    ]);
  });

  it("authorization puts an allow list before ratings and nobody else", () => {
    const at = mesh("authorization");
    const filters = (name: string) => {
      const chain = at(app(name))
        .listener("virtualInbound")
        .filterChains.find((candidate) => candidate.filterChainMatch?.destinationPort === 9080);
      return httpManagerOf(chain?.filters[0]).httpFilters.map((filter) => filter.name);
    };
    expect(filters("ratings")).toEqual([
      "istio.peer_metadata",
      "envoy.filters.http.rbac",
      "istio.stats",
      "envoy.filters.http.router",
    ]);
    expect(filters("reviews")).toEqual(["istio.peer_metadata", "istio.stats", "envoy.filters.http.router"]);
  });

  it("ratings-database is reached over TCP at its own address", () => {
    const at = mesh("ratings-database");
    const view = at(app("ratings", "v2"));
    expect(view.names("cluster")).toContain("outbound|3306||mysqldb.default.svc.cluster.local");
    expect(view.names("listener")).toContain("0.0.0.0_3306");
  });

  it("egress leads through the gateway and nowhere else", () => {
    const at = mesh("egress");
    const client = at(app("details", "v2"));
    expect(destinations(client, "80", "catalogue.example.com")).toEqual([
      "outbound|80||istio-egressgateway.istio-system.svc.cluster.local",
    ]);
    expect(client.route("80").virtualHosts.at(-1)?.name).toBe("block_all");
    const gateway = at(router("egressgateway"));
    expect(destinations(gateway, "http.8080", "catalogue.example.com")).toEqual(["outbound|80||catalogue.example.com"]);
    expect(gateway.endpoints("outbound|80||catalogue.example.com")).toEqual(["127.0.0.1:7070"]);
    expect(upstreamTlsOf(gateway.cluster("outbound|80||catalogue.example.com"))).toBeUndefined();
  });
});
