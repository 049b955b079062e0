import { s } from "../../schema/index.ts";
import { port } from "../shared.ts";

/** discovery.k8s.io/v1 EndpointSlice; label `kubernetes.io/service-name` names the service. */
export const endpointSliceBody = s.object({
  addressType: s.required(s.oneOf(["IPv4", "IPv6", "FQDN"])),
  endpoints: s.array(
    s.object({
      addresses: s.required(s.array(s.string())),
      conditions: s.object({ ready: s.boolean(), serving: s.boolean(), terminating: s.boolean() }),
      hostname: s.string(),
      targetRef: s.any(),
      nodeName: s.string(),
      zone: s.string(),
      hints: s.any(),
      deprecatedTopology: s.any(),
    }),
  ),
  ports: s.array(s.object({ name: s.string(), port, protocol: s.string(), appProtocol: s.string() })),
});
