import type { Authenticator } from "@lateen/adapter-grpc";
import type { createHttp } from "@lateen/runtime";

/**
 * Lets only bearers of a token of the control plane's namespace pass (`authorization: Bearer …`); other callers get 401 or 403.
 * @param open paths that need no identity.
 */
export function requireIdentity(
  app: ReturnType<typeof createHttp>,
  authenticator: Authenticator,
  open: readonly string[],
): void {
  app.addHook("onRequest", async (request, reply) => {
    if (open.includes(request.url.split("?")[0] ?? "")) return;
    const bearer = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
    const caller = await authenticator.authenticate([], bearer);
    if (!caller.ok) return reply.code(401).send({ error: { code: "unauthenticated", message: caller.error } });
    if (caller.value.namespace !== "istio-system")
      return reply.code(403).send({ error: { code: "forbidden", message: "only identities of istio-system may ask" } });
  });
}
