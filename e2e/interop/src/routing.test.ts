import { eventually } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { balancingCases } from "./cases/balancing-cases.ts";
import { protocolCases } from "./cases/protocol-cases.ts";
import { retryCases } from "./cases/retry-cases.ts";
import { HTTP1_PORTS, HTTP2_PORTS, type RoutingCase } from "./cases/routing-cases.ts";
import { program } from "./harness/programs.ts";
import { type Scripted, startScripted } from "./harness/scripted.ts";
import { type Flavor, StandAlone, staticCluster } from "./harness/stand-alone.ts";
import { type Outcome, transfer } from "./harness/transfer.ts";

const envoy = program("envoy");
const title = `requests fare as with Envoy${envoy.path === undefined ? ` (skipped: no Envoy: ${envoy.reason})` : ""}`;
const PORT = 22_000;
const LINE =
  "%REQ(X-KEY)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %UPSTREAM_CLUSTER% %PROTOCOL% " +
  "%UPSTREAM_REQUEST_ATTEMPT_COUNT% %GRPC_STATUS_NUMBER%\n";

const cases = [...retryCases, ...balancingCases, ...protocolCases].map((one, index) => ({
  ...one,
  port: PORT + index,
}));

describe.skipIf(envoy.path === undefined)(title, () => {
  let application: Scripted;
  let proxies: StandAlone;
  beforeAll(async () => {
    application = await startScripted({ http1: HTTP1_PORTS, http2: HTTP2_PORTS });
    proxies = await StandAlone.start(
      cases.map(({ port, filters = [], more, virtualHost }) => ({
        port,
        httpFilters: filters,
        virtualHost: inCase(port, virtualHost),
        logFormat: LINE,
        ...(more === undefined ? {} : { more }),
      })),
      cases.flatMap(({ port, clusters }) =>
        Object.entries(clusters).map(([name, { ports, http2 = false, more = {} }]) =>
          staticCluster(`${port}-${name}`, ports, { http2, ...more }),
        ),
      ),
    );
  });
  afterAll(async () => {
    await proxies?.stop();
    await application?.close();
  });

  async function story(flavor: Flavor, { port, asks, pool = false }: (typeof cases)[number]) {
    const keys = asks.map((_, index) => `${port}-${flavor}-${index}`);
    const told: object[] = [];
    for (const [index, ask] of asks.entries()) {
      const key = keys[index] ?? "";
      const headers = { ...ask.headers, "x-key": key };
      const outcome = await transfer({ ...ask, headers }, proxies.via(flavor, port));
      // What the upstream refuses to begin is harmless to repeat: ours does so once, whatever the policy. And an attempt that is given
      // up may not have come that far; the log counts it.
      const counts = !/^(refuse|silence=9)/.test(ask.headers?.["x-do"] ?? "");
      if (flavor === "envoy" && ask.ejected !== undefined) await ejected(port, ask.ejected);
      told.push({ ...steady(outcome, pool), ...(counts ? { attempts: application.attempts.get(key) ?? 0 } : {}) });
    }
    const lines = await eventually(`${flavor} has told of everything`, async () => {
      const all = (await proxies.log(flavor)).map((line) => {
        const [key = "", ...rest] = line.split(" ");
        return [key, rest.join(" ")] as const;
      });
      const found = new Map(all);
      return keys.every((key) => found.has(key)) ? found : undefined;
    });
    return told.map((one, index) => ({ ask: asks[index], ...one, log: lines.get(keys[index] ?? "") }));
  }

  /** Envoy takes an endpoint out when its main thread comes to it. */
  async function ejected(port: number, count: number): Promise<void> {
    await eventually(`Envoy has ${count} outliers`, async () => {
      const stats = await proxies.admin("envoy", `/stats?filter=${port}-c.outlier_detection.ejections_active`);
      return stats.trimEnd().endsWith(`: ${count}`) ? true : undefined;
    });
  }

  it.each(cases)("$name", async (one) => {
    const [theirs, ours] = await Promise.all([story("envoy", one), story("own", one)]);
    expect(ours).toEqual(theirs);
  });
});

/** Cluster names are a case's own. */
function inCase(port: number, virtualHost: RoutingCase["virtualHost"]): object {
  const renamed = (_key: string, value: unknown) =>
    typeof value === "object" && value !== null && "cluster" in value
      ? { ...value, cluster: `${port}-${String(value.cluster)}` }
      : value;
  return JSON.parse(JSON.stringify(virtualHost), (key, value) => renamed(key, value)) as object;
}

const VOLATILE = new Set([
  "date",
  "connection",
  "keep-alive",
  "x-envoy-upstream-service-time",
  "transfer-encoding",
  "x-key",
]);
const kept = (headers: Readonly<Record<string, string>>) =>
  Object.fromEntries(
    Object.entries(headers)
      .filter(([name]) => !VOLATILE.has(name))
      .map(([name, value]) => [
        name,
        name === "x-request-id"
          ? "some id"
          : name === "x-envoy-expected-rq-timeout-ms"
            ? `${Math.ceil(Number(value) / 1000)} s`
            : value,
      ]),
  );

function steady({ status, headers, body, trailers, broken }: Outcome, pool: boolean): object {
  const { "content-length": _, ...rest } = kept(headers);
  const seen =
    body.startsWith('{"pod"') && !broken
      ? (JSON.parse(body) as { headers: Record<string, string>; pod: string })
      : undefined;
  return {
    status,
    headers: rest,
    trailers,
    broken,
    body: seen === undefined ? body : { ...seen, pod: pool ? "any" : seen.pod, headers: kept(seen.headers) },
  };
}
