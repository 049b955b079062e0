import { err, ok } from "@lateen/kernel";
import { fastify } from "fastify";
import { expect, it } from "vitest";
import { requireIdentity } from "./require-identity.ts";

const app = fastify();
requireIdentity(
  app,
  {
    authenticate: async (_uris, bearer) =>
      bearer === undefined ? err("no credentials") : ok({ namespace: bearer, serviceAccount: "x", via: "token" }),
  },
  ["/ready"],
);
for (const path of ["/ready", "/debug/syncz", "/debug/config_dump", "/debug/edsz", "/debug/ndsz", "/debug/configz"]) {
  app.get(path, async () => ({}));
}
app.post("/debug/force_disconnect", async () => ({}));

const own = "proxyID=web-1.shop";
it.each([
  ["anybody, whether it is ready", "GET", "/ready", undefined, 200],
  ["nobody without an identity", "GET", "/debug/syncz", undefined, 401],
  ["the system namespace for everything", "GET", "/debug/configz", "istio-system", 200],
  ["the system namespace for any proxy", "GET", `/debug/config_dump?${own}`, "istio-system", 200],
  ["the system namespace to end streams", "POST", `/debug/force_disconnect?${own}`, "istio-system", 200],
  ["a workload for a proxy of its namespace", "GET", `/debug/config_dump?${own}`, "shop", 200],
  ["a workload for its endpoints", "GET", `/debug/edsz?${own}`, "shop", 200],
  ["a workload for its names", "GET", `/debug/ndsz?${own}`, "shop", 200],
  [
    "a workload by the whole node id",
    "GET",
    "/debug/edsz?proxyID=sidecar~1.2.3.4~web-1.shop~shop.svc.cluster.local",
    "shop",
    200,
  ],
  ["nobody for a proxy of another namespace", "GET", `/debug/config_dump?${own}`, "bank", 403],
  ["nobody for two proxies at once", "GET", `/debug/edsz?${own}&proxyID=db-1.bank`, "shop", 403],
  ["nobody by a node id made up", "GET", "/debug/edsz?proxyID=a~b.shop", "shop", 403],
  ["nobody else for all proxies", "GET", "/debug/syncz", "shop", 403],
  ["nobody else for the configuration", "GET", `/debug/configz?${own}`, "shop", 403],
  ["nobody else to end streams, even its own", "POST", `/debug/force_disconnect?${own}`, "shop", 403],
] as const)("answers %s", async (_title, method, url, namespace, status) => {
  const headers = namespace === undefined ? {} : { authorization: `Bearer ${namespace}` };
  const response = await app.inject({ method, url, headers });
  expect(response.statusCode).toBe(status);
});
