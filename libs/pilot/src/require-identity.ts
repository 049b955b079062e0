import type { Authenticator } from "@lateen/ports";
import type { FastifyInstance } from "fastify";

/** What workloads of other namespaces may look at, of proxies of their own. */
const OWN_PROXY: ReadonlySet<string> = new Set(["/debug/config_dump", "/debug/edsz", "/debug/ndsz"]);

/**
 * Lets bearers of a token of the control plane's namespace pass (`authorization: Bearer …`), and those of other namespaces where they
 * look at what a proxy of their own should run; other callers get 401 or 403.
 * @param open paths that need no identity.
 */
export function requireIdentity(app: FastifyInstance, authenticator: Authenticator, open: readonly string[]): void {
  app.addHook("onRequest", async (request, reply) => {
    const path = request.url.split("?")[0] ?? "";
    if (open.includes(path)) return;
    const bearer = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
    const caller = await authenticator.authenticate([], bearer);
    if (!caller.ok) return reply.code(401).send({ error: { code: "unauthenticated", message: caller.error } });
    const { namespace } = caller.value;
    if (namespace === "istio-system") return;
    const { proxyID } = request.query as { readonly proxyID?: unknown };
    if (request.method === "GET" && OWN_PROXY.has(path) && namespaceOf(proxyID) === namespace) return;
    const message = "only identities of istio-system may ask this; others may ask for proxies of their own namespace";
    return reply.code(403).send({ error: { code: "forbidden", message } });
  });
}

/** Namespace of `POD.NAMESPACE` or of a whole node id; undefined for anything else, such as a list. */
function namespaceOf(proxyId: unknown): string | undefined {
  if (typeof proxyId !== "string") return undefined;
  const parts = proxyId.split("~");
  const workload = parts.length === 1 ? proxyId : parts.length === 4 ? (parts[2] ?? "") : "";
  const dot = workload.lastIndexOf(".");
  return dot < 0 ? undefined : workload.slice(dot + 1);
}
