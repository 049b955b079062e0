/** How bad a finding is, in Istio's words. Nothing is refused because of one: each object is legal by itself. */
export type Severity = "error" | "warning" | "info";

/**
 * What analysis can find, by Istio's code (istio/istio `pkg/config/analysis/msg/messages.yaml`), so that scripts and habits made
 * for `istioctl analyze` keep working.
 */
export const findings = {
  IST0101: { name: "ReferencedResourceNotFound", severity: "error" },
  IST0109: { name: "ConflictingMeshGatewayVirtualServiceHosts", severity: "error" },
  IST0110: { name: "ConflictingSidecarWorkloadSelectors", severity: "error" },
  IST0111: { name: "MultipleSidecarsWithoutWorkloadSelectors", severity: "error" },
  IST0112: { name: "VirtualServiceDestinationPortSelectorRequired", severity: "error" },
  IST0116: { name: "DeploymentAssociatedToMultipleServices", severity: "warning" },
  IST0118: { name: "PortNameIsNotUnderNamingConvention", severity: "info" },
  IST0127: { name: "NoMatchingWorkloadsFound", severity: "warning" },
  IST0131: { name: "VirtualServiceIneffectiveMatch", severity: "info" },
  IST0132: { name: "VirtualServiceHostNotFoundInGateway", severity: "warning" },
  IST0137: { name: "DeploymentConflictingPorts", severity: "warning" },
  IST0138: { name: "GatewayDuplicateCertificate", severity: "warning" },
  IST0145: { name: "ConflictingGateways", severity: "error" },
  IST0150: { name: "ExternalNameServiceTypeInvalidPortName", severity: "warning" },
  IST0161: { name: "InvalidGatewayCredential", severity: "error" },
  IST0162: { name: "GatewayPortNotDefinedOnService", severity: "warning" },
  IST0173: { name: "DestinationRuleSubsetNotSelectPods", severity: "error" },
  IST0174: { name: "UnknownDestinationRuleHost", severity: "warning" },
  IST0177: { name: "ConflictingServiceEntryProtocol", severity: "warning" },
} as const satisfies Readonly<Record<string, { readonly name: string; readonly severity: Severity }>>;

export type FindingCode = keyof typeof findings;
