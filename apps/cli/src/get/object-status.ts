/** An object in JSON as users write it. */
export interface PlainObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly creationTimestamp?: string;
  };
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly [field: string]: unknown;
}

/** One entry of GET /config/objects. */
export interface ListedObject {
  readonly object: PlainObject;
  readonly file: string;
  readonly line: number;
  readonly ownerFile?: string;
  /** Configuration revision that brought this version. */
  readonly revision: number;
}

/** One entry of GET /config/rejected, as far as it is needed here. */
export interface RejectedEntry {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly diagnostics?: readonly { readonly message: string; readonly level?: string }[];
  readonly message?: string;
}

/** What the status of an object depends on. */
export interface StatusFacts {
  readonly rejected: readonly RejectedEntry[];
  /** Proxies that have not acknowledged the newest configuration. */
  readonly laggards: readonly string[];
  readonly revision: number;
  /** What the control plane says of it in its API's own words, for Gateway API objects and Ingress. */
  readonly own?: Readonly<Record<string, unknown>> | undefined;
}

/**
 * The object with `status.conditions`: `Accepted` is False while a newer version was rejected and this one, the last good one, is in
 * force; `Reconciled` is True when every proxy has acknowledged the newest configuration.
 */
export function withStatus(entry: ListedObject, facts: StatusFacts): ListedObject {
  const { kind, metadata } = entry.object;
  const refusal = facts.rejected.find(
    (one) => one.kind === kind && one.name === metadata.name && one.namespace === (metadata.namespace ?? ""),
  );
  const accepted =
    refusal === undefined
      ? { type: "Accepted", status: "True", reason: "Accepted", message: "" }
      : {
          type: "Accepted",
          status: "False",
          reason: "NewerVersionRejected",
          message: `the last good version is in force: ${reasonOf(refusal)}`,
        };
  const reconciled =
    facts.laggards.length === 0
      ? { type: "Reconciled", status: "True", reason: "Acknowledged", message: "" }
      : {
          type: "Reconciled",
          status: "False",
          reason: "Pending",
          message: `not acknowledged by ${facts.laggards.join(", ")}`,
        };
  // A Gateway's own word on what is accepted says more than that it was read.
  const own = Array.isArray(facts.own?.conditions)
    ? (facts.own.conditions as readonly { readonly type?: unknown }[])
    : [];
  const read = refusal === undefined && own.some(({ type }) => type === "Accepted") ? [] : [accepted];
  const status = {
    ...(typeof entry.object.status === "object" ? entry.object.status : {}),
    ...facts.own,
    observedRevision: entry.revision,
    conditions: [...read, ...own, reconciled],
  };
  return { ...entry, object: { ...entry.object, status } };
}

function reasonOf(entry: RejectedEntry): string {
  const errors = (entry.diagnostics ?? []).filter(({ level }) => level !== "warning");
  return entry.message ?? errors.map(({ message }) => message).join("; ");
}
