/** The part of an object that the API server itself manages. Everything else is read only where it is needed. */
export interface ApiMetadata {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

/** An object as the API server sends it. */
export interface ApiObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ApiMetadata;
  readonly [field: string]: unknown;
}

export type Fields = Readonly<Record<string, unknown>>;

/** A JSON object, neither null nor a list. */
export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether it has what every object has. */
export function isApiObject(value: unknown): value is ApiObject {
  if (!isFields(value)) return false;
  const { metadata } = value;
  return isFields(metadata) && typeof metadata.name === "string" && metadata.name !== "";
}

/** `namespace/name`; `name` for what is in no namespace. */
export function objectName({ metadata }: ApiObject): string {
  return metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`;
}

/**
 * Whether a version is older than another. Versions are numbers that grow within one resource; two that are none are not compared.
 * (Kubernetes API concepts, "Resource versions")
 */
export function isOlder(version: string | undefined, than: string | undefined): boolean {
  if (version === undefined || than === undefined || !/^\d+$/.test(version) || !/^\d+$/.test(than)) return false;
  return version.length === than.length ? version < than : version.length < than.length;
}
