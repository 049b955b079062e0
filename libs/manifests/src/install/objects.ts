/** Any JSON object. */
export type Fields = Readonly<Record<string, unknown>>;

/** An object of Kubernetes' API, as it is applied. */
export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

/** One rule of a Role or ClusterRole. */
export interface PermissionRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}

/** What a component asks of the API server: over all namespaces, and in its own. */
export interface Permissions {
  readonly cluster: readonly PermissionRule[];
  readonly own: readonly PermissionRule[];
}

/** By which selectors an API server picks the pods that the injector is asked about. */
export interface InjectionSelection {
  readonly name: string;
  readonly namespaceSelector: object;
  readonly objectSelector: object;
}

/** The namespace of the control plane. It is fixed: the names in its certificates are of it. */
export const NAMESPACE = "istio-system";

/** `kind namespace/name`, which is an object's identity. */
export function identityOf({ apiVersion, kind, metadata }: KubernetesObject): string {
  return `${apiVersion.replace(/\/?v\d[^/]*$/, "")} ${kind} ${metadata.namespace ?? ""}/${metadata.name}`.trim();
}

/** The object without fields that are undefined, at any depth. */
export function compact<T>(value: T): T {
  if (Array.isArray(value)) return value.map(compact) as T;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inner !== undefined)
      .map(([name, inner]) => [name, compact(inner)]),
  ) as T;
}

/** What every object of an installation is labelled with: by it they are found again, to be updated or removed. */
export const INSTALL_LABELS: Readonly<Record<string, string>> = {
  "app.kubernetes.io/part-of": "lateen",
  "install.lateen.dev/managed": "true",
};
