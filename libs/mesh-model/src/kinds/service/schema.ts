import { s } from "../../schema/index.ts";
import { labels, port } from "../shared.ts";

/** core/v1 Service. */
export const serviceBody = s.object({
  spec: s.required(
    s.object({
      type: s.oneOf(["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]),
      selector: labels,
      clusterIP: s.string(),
      clusterIPs: s.array(s.string()),
      ports: s.array(
        s.object({
          name: s.string(),
          port: s.required(port),
          targetPort: s.intOrString(),
          nodePort: s.integer(),
          protocol: s.oneOf(["TCP", "UDP", "SCTP"]),
          appProtocol: s.string(),
        }),
      ),
      externalName: s.string(),
      externalIPs: s.array(s.string()),
      publishNotReadyAddresses: s.boolean(),
      sessionAffinity: s.any(),
      sessionAffinityConfig: s.any(),
      externalTrafficPolicy: s.string(),
      internalTrafficPolicy: s.string(),
      trafficDistribution: s.string(),
      ipFamilies: s.array(s.string()),
      ipFamilyPolicy: s.string(),
      ipFamily: s.string(),
      topologyKeys: s.array(s.string()),
      loadBalancerIP: s.string(),
      loadBalancerClass: s.string(),
      loadBalancerSourceRanges: s.array(s.string()),
      allocateLoadBalancerNodePorts: s.boolean(),
      healthCheckNodePort: s.integer(),
    }),
  ),
  status: s.any(),
});
