import { eventually } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { object, SUBSETS, to, virtualService } from "./cases/case.ts";
import type { Via } from "./harness/http.ts";
import { InteropMesh, noEnvoy, pods } from "./harness/mesh.ts";

const FULL = process.env.LATEEN_TEST_FULL === "1";
const KILLS = FULL ? 5 : 1;
/** Answers that every way must have had while pilot was away, and again while it came back. */
const SERVED = FULL ? 500 : 40;
const skip = noEnvoy();
const title = `pilot restarts under load${skip === undefined ? "" : ` (skipped: ${skip})`}`;
const HOST = "shop.example";
const RULES = `${SUBSETS}${virtualService("web", `  hosts: [web]\n  http: [{ match: [{ uri: { prefix: /v2 } }], ${to("v2")} }, { ${to("v1")} }]`)}${object(
  "Gateway",
  "gw",
  '  selector: { istio: ingressgateway }\n  servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ["*"] }]',
)}${virtualService("edge", `  hosts: [${HOST}]\n  gateways: [gw]\n  http: [{ route: [{ destination: { host: web, subset: v1, port: { number: 80 } } }] }]`)}`;

/** Clients that ask all the time, each on its own way. */
class Load {
  readonly failures: string[] = [];
  readonly counts: number[];
  readonly #running: Promise<unknown>;
  #ended = false;

  constructor(mesh: InteropMesh, ways: readonly (readonly [Via, string])[]) {
    this.counts = ways.map(() => 0);
    const client = async ([via, host]: readonly [Via, string], index: number) => {
      while (!this.#ended) {
        const { status, body } = await mesh.ask({ path: "/", headers: { host } }, via);
        if (status !== 200) this.failures.push(`way ${index}: ${status} ${body}`);
        this.counts[index] = (this.counts[index] ?? 0) + 1;
      }
    };
    this.#running = Promise.all(ways.map(client));
  }

  /** Resolves when every way had so many answers more. */
  async more(count: number): Promise<void> {
    const before = [...this.counts];
    await eventually(
      `${count} answers more on every way`,
      async () => (this.counts.every((one, index) => one >= (before[index] ?? 0) + count) ? true : undefined),
      90_000,
    );
  }

  async end(): Promise<void> {
    this.#ended = true;
    await this.#running;
  }
}

/** What an Envoy counts of configuration that it took, and of what that changed. */
const TAKEN =
  "^(cluster_manager.(cds.update_success|cluster_modified|cluster_added)|listener_manager.(lds.update_success|listener_modified|listener_added))$";

describe
  .skipIf(skip !== undefined)
  .each([
    { edge: "DELTA_GRPC", what: "proxies that say what they have" },
    ...(FULL ? [{ edge: "GRPC", what: "also an Envoy that takes all or nothing" } as const] : []),
  ] as const)(`${title}: $what`, ({ edge }) => {
  let mesh: InteropMesh;
  beforeAll(async () => {
    mesh = await InteropMesh.start({ gateway: edge });
    await mesh.apply(RULES);
  });
  afterAll(() => mesh?.stop());

  const taken = async (of: (typeof pods)["envoy" | "envoyGateway"]) =>
    mesh.proxies.get(of)?.admin(`/stats?filter=${TAKEN}`) ?? "";
  const changed = (stats: string) => stats.split("\n").filter((line) => !line.includes("update_success"));
  const held = async () => {
    const own = [pods.own, pods.web1, pods.ownGateway].map(async (of) => {
      const dump = (await mesh.proxies.get(of)?.admin("/config_dump")) ?? "";
      return [...dump.matchAll(/"version_info":\s*"([^"]*)"/g)].map((match) => match[1]).sort();
    });
    return Promise.all(own);
  };
  const synced = (count: number) =>
    eventually(
      "all are connected, and have what they should",
      async () => {
        const { proxies } = await mesh.plane.sync();
        return proxies.length === count && proxies.every((one) => one.synced) ? true : undefined;
      },
      90_000,
    );

  it(`is killed ${KILLS} times: no request is lost, and nothing is sent again`, {
    timeout: FULL ? 600_000 : 180_000,
  }, async () => {
    const connected = (await mesh.plane.sync()).proxies.length;
    expect(connected).toBe(mesh.proxies.size);
    const before = { client: await taken(pods.envoy), edge: await taken(pods.envoyGateway), own: await held() };
    expect(before.client).toMatch(/cds\.update_success: [1-9]/);
    expect(before.own.every((versions) => versions.length > 5)).toBe(true);
    const load = new Load(mesh, [
      [mesh.throughEnvoy("web", 80), "web"],
      [mesh.throughOwn("web", 80), "web"],
      [mesh.throughGateway("envoy", 80), HOST],
      [mesh.throughGateway("own", 80), HOST],
    ]);
    try {
      for (let kill = 1; kill <= KILLS; kill++) {
        await load.more(SERVED);
        await mesh.plane.kill();
        await load.more(SERVED);
        await mesh.plane.restart();
        await synced(connected);
        await load.more(SERVED);
        const pushes = await mesh.plane.metric("pilot_xds_pushes");
        // Who only knows versions of whole answers is answered once for each type that it asks for, and sees that nothing is new.
        if (edge === "DELTA_GRPC") expect({ kill, pushes }).toEqual({ kill, pushes: 0 });
        else expect(pushes).toBeLessThanOrEqual(SOTW_TYPES);
      }
    } finally {
      await load.end();
    }
    expect(load.failures).toEqual([]);
    expect(await taken(pods.envoy)).toBe(before.client);
    expect(changed(await taken(pods.envoyGateway))).toEqual(changed(before.edge));
    expect(await held()).toEqual(before.own);
    expect(await mesh.plane.refusals()).toEqual([]);
  });

  it("still follows changes", async () => {
    await mesh.apply(RULES.replaceAll("subset: v1", "subset: v3"));
    for (const flavor of ["envoy", "own"] as const) {
      const { body } = await mesh.ask({ path: "/", headers: { host: HOST } }, mesh.throughGateway(flavor, 80));
      expect(JSON.parse(body)).toMatchObject({ pod: "web-v3" });
    }
    expect(await mesh.plane.refusals()).toEqual([]);
  });
});

/** Clusters, endpoints, listeners, routes and secrets. */
const SOTW_TYPES = 5;
