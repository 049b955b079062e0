import { eventually } from "@lateen/test-support";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { virtualService } from "./cases/case.ts";
import type { Answer, Ask, Via } from "./harness/http.ts";
import { InteropMesh, noEnvoy, pods } from "./harness/mesh.ts";
import { Recorder } from "./harness/recorder.ts";
import type { Seen } from "./harness/upstream.ts";
import { exchange } from "./harness/wire.ts";

const skip = noEnvoy();
const FLAVORS = ["envoy", "own"] as const;
type Flavor = (typeof FLAVORS)[number];
const COUNT = process.env.LATEEN_TEST_FULL === "1" ? 400 : 60;

const COPIES = "collector.default.svc.cluster.local";
const mirrored = (more: string, hosts = "web") =>
  virtualService(
    "mirrored",
    `  hosts: [${hosts}]\n  http:\n    - ${more}\n      route: [{ destination: { host: web, port: { number: 80 } } }]`,
  );
const all = `mirrors: [{ destination: { host: ${COPIES}, port: { number: 9411 } }, percentage: { value: 100 } }]`;
const EDGE = `---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: edge, namespace: default }
spec:
  selector: { istio: ingressgateway }
  servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: [web.example] }]
`;

/** Ids, counters of time, and what a proxy says of itself differ from request to request. */
const OF_ITS_OWN =
  /^(x-request-id|x-b3-.*|traceparent|tracestate|x-envoy-peer-metadata.*|x-envoy-expected-rq-timeout-ms|date)$/;
const stable = ({ pod: _, headers, ...seen }: Seen) => ({
  ...seen,
  headers: Object.fromEntries(
    Object.entries(headers)
      .filter(([name]) => !OF_ITS_OWN.test(name))
      // The last one is the proxy itself, by an address of its own choice.
      .map(([name, value]) => [name, name === "x-forwarded-for" ? value.replace(/[^,]*$/, "proxy") : value] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  ),
});

describe.skipIf(skip !== undefined)(`destinations${skip === undefined ? "" : ` (skipped: ${skip})`}`, () => {
  let mesh: InteropMesh;
  let first: Recorder;
  let second: Recorder;
  beforeAll(async () => {
    mesh = await InteropMesh.start();
    first = await Recorder.start("first", pods.collector.address, 9411);
    second = await Recorder.start("second", pods.collector.address, 4318);
  });
  afterAll(async () => {
    await first?.close();
    await second?.close();
    await mesh?.stop();
  });
  beforeEach(() => {
    first.reset();
    second.reset();
  });

  const via = (flavor: Flavor, at: "sidecar" | "gateway"): Via => {
    if (at === "gateway") return mesh.throughGateway(flavor, 80);
    return flavor === "envoy" ? mesh.throughEnvoy("web", 80) : mesh.throughOwn("web", 80);
  };
  const send = (flavor: Flavor, ask: Ask, at: "sidecar" | "gateway" = "sidecar"): Promise<Answer> => {
    const host = at === "gateway" ? "web.example" : "web";
    return mesh.ask({ ...ask, headers: { host, ...ask.headers } }, via(flavor, at));
  };
  const arrived = (recorder: Recorder, count: number) =>
    eventually(`${count} copies are there`, async () => {
      expect(recorder.seen.length).toBeGreaterThanOrEqual(count);
      return true;
    });
  /** The copy of one request, and what the destination itself saw of it. */
  async function one(flavor: Flavor, ask: Ask, at?: "sidecar" | "gateway") {
    first.reset();
    const { status, body } = await send(flavor, ask, at);
    expect(status).toBe(200);
    await arrived(first, 1);
    const [copy] = first.seen;
    if (copy === undefined) throw new Error("no copy");
    return { copy, original: JSON.parse(body) as Seen };
  }

  describe.each(["sidecar", "gateway"] as const)("at a %s", (at) => {
    const rule = (more: string) =>
      at === "gateway" ? `${EDGE}${mirrored(more, "web.example]\n  gateways: [edge")}` : mirrored(more);

    it.each<[string, Ask]>([
      ["a question", { path: "/a?b=c" }],
      [
        "a question with a body",
        { method: "POST", path: "/p", body: "some text".repeat(2_000), headers: { "x-own": "yes" } },
      ],
      [
        "a body of unknown length",
        { method: "PUT", path: "/chunked", body: "abc", headers: { "transfer-encoding": "chunked" } },
      ],
      ["a host with a port", { path: "/", headers: { host: at === "gateway" ? "web.example:80" : "web:80" } }],
    ])("%s is copied whole, to a host that says so", async (_title, ask) => {
      await mesh.apply(rule(all));
      const found = new Map<Flavor, ReturnType<typeof stable>>();
      for (const flavor of FLAVORS) {
        const { copy, original } = await one(flavor, ask, at);
        const [name, port] = (original.headers.host ?? "").split(":");
        expect(copy.headers.host).toBe(port === undefined ? `${name}-shadow` : `${name}-shadow:${port}`);
        expect(copy).toMatchObject({ method: ask.method ?? "GET", path: ask.path, body: ask.body ?? "" });
        expect(copy.headers["x-request-id"]).toBe(original.headers["x-request-id"]);
        found.set(flavor, stable(copy));
      }
      expect(found.get("own")).toEqual(found.get("envoy"));
    });
  });

  it("what the route changes is changed in the copy, too", async () => {
    await mesh.apply(
      mirrored(`${all}
      rewrite: { uri: /new, authority: other.example }
      match: [{ uri: { prefix: /old } }]
      headers: { request: { set: { x-set: "1" }, remove: [x-gone] } }`),
    );
    const copies = [];
    for (const flavor of FLAVORS) {
      const { copy } = await one(flavor, { path: "/old/x", headers: { "x-gone": "1" } });
      copies.push(stable(copy));
    }
    expect(copies[1]).toEqual(copies[0]);
    expect(copies[0]).toMatchObject({ path: "/new/x", headers: { host: "other.example-shadow", "x-set": "1" } });
    expect(copies[0]?.headers).not.toHaveProperty("x-gone");
  });

  it.each(FLAVORS)("%s copies each request once, also one that it repeats", async (flavor) => {
    await mesh.apply(mirrored(`${all}\n      retries: { attempts: 2, retryOn: 5xx }`));
    for (let index = 0; index < COUNT; index++) expect((await send(flavor, { path: `/${index}` })).status).toBe(200);
    await arrived(first, COUNT);
    expect((await send(flavor, { path: "/failing", headers: { "x-want-status": "503" } })).status).toBe(503);
    await arrived(first, COUNT + 1);
    // A later one comes after any further copies of the one that failed.
    await send(flavor, { path: "/last" });
    await arrived(first, COUNT + 2);
    expect(first.seen.map(({ path }) => path).sort()).toEqual(
      [...Array.from({ length: COUNT }, (_, index) => `/${index}`), "/failing", "/last"].sort(),
    );
  });

  it.each(FLAVORS)("%s copies to several places, each by its own share", async (flavor) => {
    await mesh.apply(
      mirrored(`mirrors:
        - { destination: { host: ${COPIES}, port: { number: 9411 } }, percentage: { value: 50 } }
        - { destination: { host: ${COPIES}, port: { number: 4318 } } }
        - { destination: { host: legacy, port: { number: 80 } }, percentage: { value: 0 } }`),
    );
    for (let index = 0; index < COUNT; index++) expect((await send(flavor, { path: "/" })).status).toBe(200);
    await arrived(second, COUNT);
    expect(second.seen.length).toBe(COUNT);
    // Six standard deviations around the half.
    const slack = 6 * Math.sqrt(COUNT / 4);
    expect(first.seen.length).toBeGreaterThan(COUNT / 2 - slack);
    expect(first.seen.length).toBeLessThan(COUNT / 2 + slack);
  });

  it.each([
    ["fails", 500],
    ["never answers", "never"],
    ["cuts the connection", "reset"],
  ] as const)("nobody notices a copy's place that %s", async (_title, answers) => {
    await mesh.apply(mirrored(all));
    for (const flavor of FLAVORS) {
      first.reset(answers);
      for (let index = 0; index < 5; index++) {
        const { status, headers, body } = await send(flavor, { method: "POST", path: "/", body: "x" });
        expect(status).toBe(200);
        expect(headers).not.toHaveProperty("x-recorder");
        expect((JSON.parse(body) as Seen).pod).toMatch(/^web-/);
      }
    }
  });

  it("nor one that does not exist", async () => {
    await mesh.apply(mirrored("mirror: { host: nowhere }\n      mirrorPercentage: { value: 100 }"));
    for (const flavor of FLAVORS) expect((await send(flavor, { path: "/" })).status).toBe(200);
    expect(await mesh.plane.refusals()).toEqual([]);
  });

  describe("pods of a headless Service, by their names", () => {
    beforeAll(() => mesh.apply(STATEFUL));
    const expected = [
      ["db-0", "web-v1"],
      ["db-1", "client-own"],
    ] as const;
    const addressOf = async (client: (typeof pods)["envoy"], name: string) => {
      const [address] = (await mesh.plane.names(client)).get(name) ?? [];
      if (address === undefined) throw new Error(`${name} is not known`);
      return address;
    };
    const handshakes = async () => {
      const stats = await mesh.proxies.get(pods.envoy)?.admin("/stats?filter=7000.*db.default.*ssl.handshake$");
      return Number(/: (\d+)/.exec(stats ?? "")?.[1] ?? 0);
    };

    it.each(expected)("%s is one pod, over TCP with mTLS from behind Envoy", async (hostname, name) => {
      const host = await addressOf(pods.envoy, `${hostname}.db.default.svc.cluster.local`);
      const before = await handshakes();
      const { body } = await exchange(
        { host, port: 7000, from: pods.envoy.address },
        { send: "hello", until: "HELLO" },
      );
      // What is behind either proxy has one name in such answers.
      expect(body).toBe(`${name.replace("-own", "")}:HELLO`);
      expect(await handshakes()).toBe(before + 1);
      // Who comes without a certificate of the mesh is not heard.
      const plain = await exchange({ host, port: 7000 }, { send: "hello", until: "HELLO" });
      expect(plain.body).toBe("");
    });

    it.each(expected)("%s is that pod over HTTP, whatever its spelling", async (hostname, name) => {
      const hosts = ["", ".default", ".default.svc", ".default.svc.cluster.local"].map(
        (rest) => `${hostname}.db${rest}`,
      );
      const address = await addressOf(pods.envoy, `${hostname}.db.default.svc.cluster.local`);
      for (const host of hosts) {
        const captured = { host: address, port: 9080, from: pods.envoy.address };
        const envoy = await mesh.ask({ path: "/x", headers: { host: `${host}:9080` } }, captured);
        expect([envoy.status, (JSON.parse(envoy.body) as Seen).pod]).toEqual([200, name]);
        // Ours resolves the name itself.
        const asked = { path: `http://${host}:9080/x`, headers: { host: `${host}:9080` } };
        const own = await mesh.ask(asked, { host: pods.own.address, port: 16_001 });
        expect([own.status, (JSON.parse(own.body) as Seen).pod]).toEqual([200, name]);
      }
    });

    it("the Service's own name stands for all of them", async () => {
      const addresses = (await mesh.plane.names(pods.envoy)).get("db.default.svc.cluster.local") ?? [];
      expect([...addresses].sort()).toEqual([pods.own.address, pods.web1.address].sort());
      expect(await mesh.plane.refusals()).toEqual([]);
    });
  });
});

/** A Service of a StatefulSet, whose pods take nothing without mTLS. */
const STATEFUL = `---
apiVersion: v1
kind: Service
metadata: { name: db, namespace: default }
spec:
  clusterIP: None
  selector: { set: db }
  ports: [{ name: tcp, port: 7000 }, { name: http, port: 9080 }]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: strict, namespace: default }
spec: { selector: { matchLabels: { set: db } }, mtls: { mode: STRICT } }
`;
