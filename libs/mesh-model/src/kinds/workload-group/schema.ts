import { s } from "../../schema/index.ts";
import { count, labels, port } from "../shared.ts";
import { workloadEntrySpec } from "../workload-entry/schema.ts";

const seconds = count;

/** ReadinessProbe of a workload outside Kubernetes: exactly one way of asking. */
const probe = s.object({
  initialDelaySeconds: seconds,
  timeoutSeconds: seconds,
  periodSeconds: seconds,
  successThreshold: count,
  failureThreshold: count,
  httpGet: s.object({
    path: s.string(),
    port: s.required(port),
    host: s.string(),
    scheme: s.string(),
    httpHeaders: s.array(s.object({ name: s.string(), value: s.string() })),
  }),
  tcpSocket: s.object({ host: s.string(), port: s.required(port) }),
  exec: s.object({ command: s.required(s.array(s.string())) }),
  grpc: s.object({ port: s.required(port), service: s.string() }),
});

/** networking.istio.io WorkloadGroup: what workloads that register themselves have in common. */
export const workloadGroupBody = s.object({
  spec: s.required(
    s.object({
      metadata: s.object({ labels, annotations: s.map(s.string()) }),
      template: s.required(workloadEntrySpec),
      probe,
    }),
  ),
});
