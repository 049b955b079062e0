import { kubernetesHost } from "@lateen/mesh-model";
import type { Problem } from "./conditions.ts";
import { GATEWAY_GROUP } from "./names.ts";
import type { ConvertWorld } from "./world.ts";

/** Who refers: an object of the Gateway API. */
export interface Referrer {
  /** `Gateway`, `HTTPRoute` … */
  readonly kind: string;
  readonly namespace: string;
}
/** What is referred to, with its namespace made explicit. */
export interface Target {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** Whether a reference is allowed: in one namespace always, across namespaces by a ReferenceGrant of the target's. */
export function permitted(world: ConvertWorld, from: Referrer, to: Target): boolean {
  if (from.namespace === to.namespace) return true;
  return world
    .grants(to.namespace)
    .some(
      ({ spec }) =>
        spec.from.some(
          (entry) => entry.group === GATEWAY_GROUP && entry.kind === from.kind && entry.namespace === from.namespace,
        ) &&
        spec.to.some(
          (entry) =>
            entry.group === to.group && entry.kind === to.kind && (entry.name === undefined || entry.name === to.name),
        ),
    );
}

/** A backend as routes write it. */
export interface BackendRef {
  readonly group?: string;
  readonly kind?: string;
  readonly namespace?: string;
  readonly name: string;
  readonly port?: number;
}

/** Where a backend's traffic goes, or why it cannot be used. */
export type Backend =
  | { readonly ok: true; readonly destination: { readonly host: string; readonly port?: { readonly number: number } } }
  | { readonly ok: false; readonly problem: Problem };

/** Resolves a backend: a Service, or a host that the mesh knows (Istio's kind Hostname). */
export function resolveBackend(world: ConvertWorld, from: Referrer, ref: BackendRef): Backend {
  const { group = "", kind = "Service", namespace = from.namespace, name, port } = ref;
  const text = `${kind} ${namespace}/${name}`;
  const hostname = group === "networking.istio.io" && kind === "Hostname";
  if (!hostname && (group !== "" || kind !== "Service")) {
    return refuse("InvalidKind", `backends of kind ${group === "" ? kind : `${group}/${kind}`} are not supported`);
  }
  if (!hostname && !permitted(world, from, { group, kind, namespace, name })) {
    return refuse(
      "RefNotPermitted",
      `no ReferenceGrant in ${namespace} lets ${from.kind}s of ${from.namespace} use ${text}`,
    );
  }
  const host = hostname ? name.toLowerCase() : kubernetesHost(name, namespace, world.domain);
  const service = world.service(host);
  if (service === undefined) return refuse("BackendNotFound", `${text} does not exist`);
  if (port !== undefined && !service.ports.some(({ number }) => number === port)) {
    return refuse("BackendNotFound", `${text} has no port ${port}`);
  }
  return { ok: true, destination: { host, ...(port === undefined ? {} : { port: { number: port } }) } };
}

function refuse(reason: string, message: string): Backend {
  return { ok: false, problem: { reason, message } };
}
