import type { GrpcServer, ServerTls } from "@lateen/adapter-grpc";
import type { Citadel } from "@lateen/citadel";
import type { CancelTimer, Clock, Logger, Scope } from "@lateen/kernel";

/** Names by which clients know the control plane; each component has its own, on one certificate here. */
export const SERVER_NAMES: readonly string[] = [
  "istiod.istio-system.svc",
  "istiod.istio-system",
  "istio-pilot.istio-system.svc",
  "istio-citadel.istio-system.svc",
  "istio-galley.istio-system.svc",
  "istio-mixer.istio-system.svc",
  "localhost",
];

/** A certificate for the servers of this process, and its renewal at half its life for as long as the scope lives. */
export async function serverTls(
  citadel: Citadel,
  { scope, clock, logger }: { readonly scope: Scope; readonly clock: Clock; readonly logger: Logger },
): Promise<{ readonly tls: ServerTls; keepFresh(servers: readonly GrpcServer[]): void }> {
  const first = await citadel.serverCertificate(SERVER_NAMES);
  return {
    tls: first,
    keepFresh: (servers) => {
      let cancel: CancelTimer = () => {};
      scope.defer(() => cancel());
      const schedule = (notAfter: number) => {
        // A timer of Node.js holds at most 2^31-1 ms.
        const delay = Math.min(Math.max((notAfter - clock.now()) / 2, 60_000), 2_000_000_000);
        cancel = clock.after(delay, () => void renew());
      };
      const renew = async () => {
        try {
          const next = await citadel.serverCertificate(SERVER_NAMES);
          for (const server of servers) server.updateTls(next);
          schedule(next.notAfter);
        } catch (error) {
          logger.error({ event: "server_certificate.renewal_failed", error });
          schedule(clock.now() + 120_000);
        }
      };
      schedule(first.notAfter);
    },
  };
}
