import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Case, type Drawn, draw } from "./cases/case.ts";
import { gatewayApiCases } from "./cases/gateway-api-cases.ts";
import { gatewayCases } from "./cases/gateway-cases.ts";
import { inboundCases } from "./cases/inbound-cases.ts";
import { claimRouteCases, jwtCases } from "./cases/jwt-cases.ts";
import { sidecarCases } from "./cases/sidecar-cases.ts";
import { trafficCases } from "./cases/traffic-cases.ts";
import type { Via } from "./harness/http.ts";
import { InteropMesh, noEnvoy } from "./harness/mesh.ts";
import { verdict } from "./harness/verdict.ts";

const COUNT = process.env.LATEEN_TEST_FULL === "1" ? 1_000 : 30;
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
    await mesh.plane.apply(yaml);
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

  it.each(sidecarCases)("as a client's proxy: $name", compare);
  it.each(trafficCases)("as a client's proxy: $name", compare);
  it.each(inboundCases)("as a server's proxy: $name", compare);
  it.each(gatewayCases)("as a gateway: $name", compare);
  it.each(jwtCases)("tokens: $name", compare);
  it.each(claimRouteCases)("tokens at a gateway: $name", compare);
  it.each(gatewayApiCases)("Gateway API and Ingress: $name", compare);
});
