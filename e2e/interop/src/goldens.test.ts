import { readFileSync } from "node:fs";
import { eventually, goldenCases } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { asksOf, callsOf, type GoldenAsk } from "./cases/golden-asks.ts";
import { destinationsWithoutTraffic, withoutTraffic } from "./cases/goldens-without-traffic.ts";
import { outboundCases } from "./cases/outbound-cases.ts";
import { ask } from "./harness/http.ts";
import { noEnvoy } from "./harness/mesh.ts";
import { Comparison } from "./harness/outcomes.ts";
import { ELSEWHERE, Outside } from "./harness/outside.ts";
import { type Flavor, GOLDENS, ownAddresses, Shop } from "./harness/shop.ts";
import { verdict } from "./harness/verdict.ts";
import { exchange } from "./harness/wire.ts";
import { workloadsIn } from "./harness/workloads.ts";

const FULL = process.env.LATEEN_TEST_FULL === "1";
const COUNT = FULL ? 1_000 : 12;
const skip = noEnvoy();
const title = `goldens in Envoy and in our proxy${skip === undefined ? "" : ` (skipped: ${skip})`}`;
/** Every folder, also one that has no calls; and what goes beyond. */
const goldens = goldenCases(GOLDENS, "input.yaml").map(({ name, path }) => ({
  name,
  input: readFileSync(path("input.yaml"), "utf8"),
  calls: readFileSync(path("calls.yaml"), "utf8"),
}));
/** Without the full counts only some goldens are looked at beyond what Envoy takes. */
const EVERY = FULL ? 1 : 6;
const cases = [
  ...goldens.map((one, index) => ({ ...one, chosen: index % EVERY === 0 })),
  ...outboundCases.map((one) => ({ ...one, chosen: true })),
];
const FLAVORS = ["envoy", "own"] as const satisfies readonly Flavor[];

/** Our form of the mesh configuration in Istio's: durations are texts, headers a list. */
function istioForm(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(istioForm);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]): [string, unknown] => {
    if (key.endsWith("Ms")) return [key.slice(0, -2), `${Number(inner) / 1000}s`];
    if (key !== "headers" || Array.isArray(inner)) return [key, istioForm(inner)];
    return [key, Object.entries(inner as object).map(([name, text]) => ({ name, value: text }))];
  });
  return Object.fromEntries(entries);
}

/** The mesh configuration that a case asks for, as Istio's ConfigMap. */
function meshConfig(calls: string): string {
  const { mesh = {}, networks = {} } = parse(calls) as Readonly<
    Record<"mesh" | "networks", Readonly<Record<string, unknown>> | undefined>
  >;
  const data = {
    mesh: JSON.stringify({ rootNamespace: "istio-system", ...(istioForm(mesh) as object) }),
    meshNetworks: JSON.stringify({ networks }),
  };
  const metadata = { name: "istio", namespace: "istio-system" };
  return `---\n${JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata, data })}\n`;
}

/** Where pods are that a case declares: proxies bind their pod's address, and our own only loopback addresses. */
const PODS: Readonly<Record<Flavor, string>> = { envoy: "127.73.", own: "127.74." };

/** A case as its objects are in a shop: each has addresses of its own for pods and listeners that a case declares. */
function inShop(flavor: Flavor, text: string): string {
  const moved = text.replaceAll(/\b10\.0\.(?=\d+\.\d+\b)/g, PODS[flavor]);
  return flavor === "envoy" ? moved : moved.replaceAll(/\b127\.0\.0\.(?=[2-9]\b)/g, "127.0.1.");
}

describe.skipIf(skip !== undefined)(title, () => {
  let shops: Readonly<Record<Flavor, Shop>>;
  let outside: Outside;
  const left: string[] = [];
  beforeAll(async () => {
    outside = await Outside.start(
      (address) => FLAVORS.map((flavor) => inShop(flavor, address)).filter((own) => own !== address),
      ownAddresses,
    );
    const [envoy, own] = await Promise.all(FLAVORS.map((flavor) => Shop.start(flavor)));
    shops = { envoy, own } as Record<Flavor, Shop>;
  });
  afterAll(async () => {
    const { length } = left;
    process.stdout.write(`traffic of ${cases.length - length} cases compared, not of ${length}:\n${left.join("\n")}\n`);
    await Promise.all(Object.values(shops ?? {}).map((shop) => shop.stop()));
    await outside?.stop();
  });

  it.each(cases)(
    "$name",
    async ({ name, input, calls, chosen }) => {
      const asks = callsOf(calls);
      const callers = new Set(asks.map(({ from }) => from));
      const extra = workloadsIn(input).filter((one) => callers.has(one.name));
      const reason =
        withoutTraffic[name] ?? (chosen && (FULL || extra.length === 0) ? undefined : "only with the full counts");
      if (reason !== undefined) left.push(`${name}: ${reason}`);
      const stops: (() => Promise<void>)[] = [];
      try {
        await outside.become(`${input}\n${calls}`);
        await Promise.all(
          (reason === undefined || FULL ? FLAVORS : ["envoy" as const]).map(async (flavor) => {
            const shop = shops[flavor];
            const own = await shop.onThisMachine(inShop(flavor, input));
            const more =
              FULL && extra.length > 0
                ? await shop.with(workloadsIn(own).filter((one) => callers.has(one.name)))
                : undefined;
            await shop.plane.apply(`${meshConfig(calls)}${shop.credentials(input)}${more?.text ?? ""}---\n${own}`);
            if (more !== undefined) stops.push(await more.start());
            await taken(shop);
            await shop.settled();
          }),
        );
        if (reason === undefined) await compare(asks, input);
      } finally {
        for (const stop of stops) await stop();
      }
    },
    FULL ? 900_000 : 120_000,
  );

  /** Each proxy has answered to the configuration in force, also one that was started with the case; all of them said yes. */
  async function taken({ plane, proxies }: Shop): Promise<void> {
    await plane.settled();
    expect(await plane.refusals()).toEqual([]);
    // With what it took, a proxy may ask for more.
    await eventually("every proxy has what it asked for", async () => {
      const { proxies: known } = await plane.sync();
      const behind = known.filter(({ synced }) => !synced);
      if (known.length === proxies.length && behind.length === 0) return true;
      await plane.settled();
      throw new Error(`${known.length} of ${proxies.length} are there; behind: ${JSON.stringify(behind)}`);
    });
    expect(await plane.refusals()).toEqual([]);
  }

  async function compare(calls: readonly GoldenAsk[], input: string): Promise<void> {
    const comparison = new Comparison(FLAVORS);
    const asked = calls.filter(
      ({ from, scheme, host, port }) =>
        shops.envoy.has(from) && destinationsWithoutTraffic[`${scheme}://${host}:${port}`] === undefined,
    );
    expect(asked.length).toBeGreaterThan(0);
    for (const one of asksOf(asked, input, COUNT))
      await comparison.ask(JSON.stringify(one), (flavor) => outcome(shops[flavor], one));
    await comparison.conclude();
  }

  /** Where a client connects to. */
  async function addressOf(shop: Shop, { from, host, scheme, serverName = host }: GoldenAsk): Promise<string> {
    if (/^[\d.]+$/.test(host)) return inShop(shop.flavor, host);
    const isMadeUp = (address: string | undefined) => address?.startsWith("240.240.") ?? false;
    const known = await shop.resolve(from, host);
    if (known !== undefined && !isMadeUp(known)) return known;
    if (scheme === "http") return ELSEWHERE;
    // Clients of our own proxies know addresses that are made up, where others are told apart by port and name: by what the handshake
    // says, whatever the client believes that it connects to.
    const named = await shop.resolve(from, serverName);
    return named !== undefined && isMadeUp(named) ? named : ELSEWHERE;
  }

  async function outcome(shop: Shop, one: GoldenAsk): Promise<object> {
    const address = await addressOf(shop, one);
    const via = shop.via(one.from, address, one.port);
    if (one.bytes !== undefined) {
      return exchange(via, { send: one.bytes, until: one.bytes.includes(" HTTP/1.1") ? "\r\n\r\n" : "\n" });
    }
    const tls = one.serverName === undefined ? {} : { tls: { serverName: one.serverName, alpn: ["http/1.1"] } };
    const { headers, ...told } = verdict(await ask(one.ask, { ...via, ...tls }), false);
    // Its answer is as long as what the application saw, which is compared; Envoy also sends an empty `tracestate`.
    const { "content-length": length, ...others } = headers;
    return { ...told, headers: told.seen === undefined && length !== undefined ? { ...others, length } : others };
  }
});
