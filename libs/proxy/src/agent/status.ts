import type { WorkloadCertificate } from "@lateen/pki";
import type { RecordSender } from "./access-records.ts";
import type { Controller } from "./controller.ts";
import type { Discovery } from "./discovery.ts";

/** What the parts of an agent say about themselves. Filled while the agent starts. */
export class AgentStatus {
  controller: Controller | undefined;
  certificate: WorkloadCertificate | undefined;
  discovery: Discovery | undefined;
  records: RecordSender | undefined;
  /** Access-log records that no service was there for. */
  unsentRecords = 0;
  /** Times that the application did not give its metrics. */
  failedAppScrapes = 0;
  /** The static configuration is in force, and there is no other. */
  static = false;
  draining = false;

  /** Undefined when traffic may come, else the reason in one line. */
  notReady(): string | undefined {
    if (this.draining) return "draining";
    const { certificate, controller, discovery } = this;
    if (certificate !== undefined && certificate.current === undefined) {
      const reason = certificate.lastFailure === "" ? "asking the certificate authority" : certificate.lastFailure;
      return `no workload certificate yet: ${reason}`;
    }
    if (this.static) return undefined;
    if (controller === undefined) return "starting";
    if (controller.configured) return undefined;
    const waiting = controller.waitingFor.slice(0, 5).join(", ");
    const connection =
      discovery === undefined || discovery.connected ? "" : `; no control plane: ${discovery.lastReason}`;
    return `configuration not in force yet, waiting for ${waiting}${connection}`;
  }
}
