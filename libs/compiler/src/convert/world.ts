import type {
  ConfigMap,
  GatewayClass,
  IngressClass,
  IngressSettings,
  KubernetesGateway,
  MeshService,
  ReferenceGrant,
  Resource,
} from "@lateen/mesh-model";
import type { Labels } from "../lower/proto.ts";

/** What conversion looks up. Every look-up is recorded, so a conversion follows just what it used. */
export interface ConvertWorld {
  /** DNS domain of Kubernetes services. */
  readonly domain: string;
  readonly rootNamespace: string;
  readonly ingress: IngressSettings;
  gatewayClass(name: string): GatewayClass | undefined;
  ingressClass(name: string): IngressClass | undefined;
  gateway(namespace: string, name: string): KubernetesGateway | undefined;
  /** Labels of a namespace; every one is labelled with its name. */
  namespaceLabels(namespace: string): Labels;
  /** Grants in the namespace of what is referred to. */
  grants(namespace: string): readonly ReferenceGrant[];
  secret(namespace: string, name: string): Resource<"Secret"> | undefined;
  configMap(namespace: string, name: string): ConfigMap | undefined;
  service(host: string): MeshService | undefined;
}
