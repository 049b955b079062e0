import { type KindName, kindDefinition, kinds } from "@lateen/mesh-model";
import { INSTALL_LABELS } from "../install/objects.ts";
import { type PrinterColumn, printerColumns } from "./columns.ts";
import { type StructuralSchema, structuralSchema } from "./structural.ts";

/** An apiextensions.k8s.io/v1 CustomResourceDefinition. */
export interface CustomResourceDefinition {
  readonly apiVersion: "apiextensions.k8s.io/v1";
  readonly kind: "CustomResourceDefinition";
  readonly metadata: {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  };
  readonly spec: {
    readonly group: string;
    readonly scope: "Namespaced" | "Cluster";
    readonly names: {
      readonly kind: string;
      readonly listKind: string;
      readonly plural: string;
      readonly singular: string;
      readonly shortNames?: readonly string[];
      readonly categories: readonly string[];
    };
    readonly versions: readonly {
      readonly name: string;
      readonly served: true;
      readonly storage: boolean;
      readonly additionalPrinterColumns: readonly PrinterColumn[];
      readonly schema: { readonly openAPIV3Schema: StructuralSchema };
      readonly subresources: { readonly status: Readonly<Record<string, never>> };
    }[];
  };
}

/** Groups whose kinds are Istio's. Those of the Gateway API come from the Gateway API's own release. */
const GROUPS: ReadonlySet<string> = new Set([
  "networking.istio.io",
  "security.istio.io",
  "telemetry.istio.io",
  "extensions.istio.io",
]);

/** Every Istio kind that the decoder knows, as definitions for an API server; in the order of their names. */
export function customResourceDefinitions(): readonly CustomResourceDefinition[] {
  return (Object.keys(kinds) as KindName[])
    .filter((kind) => GROUPS.has(kindDefinition(kind).group))
    .map(customResourceDefinition)
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
}

function customResourceDefinition(kindName: KindName): CustomResourceDefinition {
  const { group, versions, plural, shortNames, scope, body, writtenAs } = kindDefinition(kindName);
  const kind = writtenAs ?? kindName;
  const bodySchema = structuralSchema(body);
  const schema: StructuralSchema = {
    type: "object",
    ...bodySchema,
    properties: {
      ...bodySchema.properties,
      status: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
    },
  };
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: {
      name: `${plural}.${group}`,
      labels: { ...INSTALL_LABELS, app: "istio-pilot", chart: "istio", release: "istio" },
      // Uninstalling the mesh must not delete everybody's rules.
      annotations: { "helm.sh/resource-policy": "keep" },
    },
    spec: {
      group,
      scope,
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular: kind.toLowerCase(),
        ...(shortNames.length === 0 ? {} : { shortNames }),
        categories: ["istio-io", group.replaceAll(".", "-")],
      },
      versions: versions.map((name, index) => ({
        name,
        served: true,
        storage: index === 0,
        additionalPrinterColumns: printerColumns(kindName),
        schema: { openAPIV3Schema: schema },
        subresources: { status: {} },
      })),
    },
  };
}
