import { isDeepStrictEqual } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Case, type Drawn, draw } from "./cases/case.ts";
import { gatewayApiCases } from "./cases/gateway-api-cases.ts";
import { gatewayCases } from "./cases/gateway-cases.ts";
import { inboundCases } from "./cases/inbound-cases.ts";
import { claimRouteCases, jwtCases } from "./cases/jwt-cases.ts";
import { sidecarCases } from "./cases/sidecar-cases.ts";
import { trafficCases } from "./cases/traffic-cases.ts";
import { type WireCase, type WireExchange, wireCases } from "./cases/wire-cases.ts";
import type { Via } from "./harness/http.ts";
import { InteropMesh, noEnvoy } from "./harness/mesh.ts";
import { verdict } from "./harness/verdict.ts";
import { exchange, type WireAnswer } from "./harness/wire.ts";

const COUNT = process.env.LATEEN_TEST_FULL === "1" ? 1_000 : 20;
const skip = noEnvoy();
const title = `Envoy and our proxy decide alike${skip === undefined ? "" : ` (skipped: ${skip})`}`;

type Flavor = "envoy" | "own";

describe.skipIf(skip !== undefined)(title, () => {
  let mesh: InteropMesh;
  beforeAll(async () => {
    mesh = await InteropMesh.start();
  });
  afterAll(() => mesh?.stop());

  async function way(flavor: Flavor, { service, port, as, ask }: Drawn): Promise<Via> {
    if (service === "gateway") {
      const via = mesh.throughGateway(flavor, port);
      return as === "tls" ? { ...via, tls: { serverName: ask.headers?.host ?? "", alpn: ["http/1.1"] } } : via;
    }
    if (service === "inbound") {
      const via = mesh.inbound(flavor, port);
      return typeof as === "string" ? via : mesh.mtls(via, as);
    }
    return flavor === "envoy" ? mesh.throughEnvoy(service, port) : mesh.throughOwn(service, port);
  }

  async function compare({ yaml, requests, pool = false }: Case): Promise<void> {
    await mesh.apply(yaml);
    expect(await mesh.plane.refusals()).toEqual([]);
    for (const drawn of draw(requests, COUNT)) {
      const { ask, as } = drawn;
      const [envoy, own] = await Promise.all(
        (["envoy", "own"] as const).map(async (flavor) => {
          return verdict(await mesh.ask(ask, await way(flavor, drawn)), pool);
        }),
      );
      expect({ ask, as, ...own }, JSON.stringify(ask)).toEqual({ ask, as, ...envoy });
    }
  }

  async function wire(flavor: Flavor, one: WireExchange): Promise<WireAnswer> {
    const [service = "", port = "0"] = one.to.split(":");
    const as = one.mesh ? { namespace: "default", serviceAccount: "web" } : "plain";
    const drawn = { service, port: Number(port), as, ask: { path: "/" } } as const;
    const via = await way(flavor, service === "inbound" ? drawn : { ...drawn, as: "plain" });
    if (one.sni === undefined) return exchange(via, one);
    const tls = { serverName: one.sni, alpn: ["http/1.1"] };
    if (as === "plain") return exchange({ ...via, tls }, one);
    const { tls: mesh_ } = await mesh.mtls(via, as);
    return exchange({ ...via, ...(mesh_ === undefined ? {} : { tls: { ...mesh_, serverName: one.sni } }) }, one);
  }

  async function compareWire({ yaml, exchanges }: WireCase): Promise<void> {
    await mesh.apply(yaml);
    expect(await mesh.plane.refusals()).toEqual([]);
    // All at once: Envoy takes a second to close a connection.
    const answers = await Promise.all(
      exchanges.map(async (one) => ({ one, envoy: await wire("envoy", one), own: await wire("own", one) })),
    );
    const differences = answers.filter(({ one, envoy, own }) =>
      one.differ === undefined
        ? !isDeepStrictEqual(envoy, own)
        : firstLine(envoy) !== one.differ.envoy || firstLine(own) !== one.differ.own,
    );
    expect(differences).toEqual([]);
  }

  it.each(wireCases)("$name", compareWire);
  it.each(sidecarCases)("as a client's proxy: $name", compare);
  it.each(trafficCases)("as a client's proxy: $name", compare);
  it.each(inboundCases)("as a server's proxy: $name", compare);
  it.each(gatewayCases)("as a gateway: $name", compare);
  it.each(jwtCases)("tokens: $name", compare);
  it.each(claimRouteCases)("tokens at a gateway: $name", compare);
  it.each(gatewayApiCases)("Gateway API and Ingress: $name", compare);
});

function firstLine({ heads }: WireAnswer): string | undefined {
  return heads[0]?.split("\n")[0];
}
