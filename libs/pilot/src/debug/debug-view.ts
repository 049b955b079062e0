import {
  endpointsOf,
  keyOf,
  type MeshService,
  type Resource,
  type ServiceEndpoint,
  serviceFromKubernetes,
  servicesFromServiceEntry,
} from "@lateen/mesh-model";
import type { PilotCompiler } from "../compiler-face.ts";
import { unknownProxy } from "../errors.ts";
import type { World } from "../feed/world.ts";
import type { AdsFront } from "../streams/ads-front.ts";
import type { AdmittedProxy } from "../streams/connection.ts";
import { configDump } from "./config-dump.ts";

/** One service with where it runs. */
export interface ServiceWithEndpoints {
  readonly svc: string;
  readonly endpoints: readonly ServiceEndpoint[];
}

/** Looks at the inside for the debug routes. Computes anew each time; not for hot paths. */
export class DebugView {
  readonly #world: World;
  readonly #ads: AdsFront;
  readonly #compiler: PilotCompiler;
  readonly #domain: string | undefined;

  constructor(world: World, ads: AdsFront, compiler: PilotCompiler, domain: string | undefined) {
    this.#world = world;
    this.#ads = ads;
    this.#compiler = compiler;
    this.#domain = domain;
  }

  /**
   * Envoy's config dump of what a connected proxy should run, secrets redacted.
   * @param proxyId `pod.namespace` or the whole node id.
   * @throws LTN3502 when no such proxy is connected.
   */
  configDump(proxyId: string): unknown {
    const { node } = this.#find(proxyId);
    return configDump((typeUrl) => this.#compiler.resources(node, typeUrl));
  }

  /** All services of configuration, by host. */
  services(): readonly MeshService[] {
    const services: MeshService[] = [];
    for (const object of this.#world.objects()) {
      if (object.kind === "Service") services.push(serviceFromKubernetes(object, this.#domain));
      else if (object.kind === "ServiceEntry") services.push(...servicesFromServiceEntry(object));
    }
    return services.sort((a, b) => (a.host < b.host ? -1 : 1));
  }

  /** `status` of Gateway API objects and Ingress, by `Kind/namespace/name`. */
  statuses(): Readonly<Record<string, unknown>> {
    const found: Record<string, unknown> = {};
    for (const object of this.#world.objects()) {
      const key = keyOf(object);
      const status = this.#compiler.status?.(key);
      if (status !== undefined) found[key] = status;
    }
    return found;
  }

  /** All services with their endpoints, ready or not. */
  endpoints(): readonly ServiceWithEndpoints[] {
    const byNamespace = Map.groupBy(this.#world.objects(), ({ metadata }) => metadata.namespace);
    return this.services().map((service) => {
      const nearby = byNamespace.get(service.namespace) ?? [];
      const ofService = nearby.filter(
        ({ metadata }) => metadata.name === service.name || metadata.labels?.[SLICE_SERVICE] === service.name,
      );
      return {
        svc: service.host,
        endpoints: endpointsOf(service, {
          pods: nearby.filter(isKind("Pod")),
          workloadEntries: nearby.filter(isKind("WorkloadEntry")),
          endpoints: ofService.filter(isKind("Endpoints")),
          slices: ofService.filter(isKind("EndpointSlice")),
        }),
      };
    });
  }

  #find(proxyId: string): AdmittedProxy {
    for (const { proxy } of this.#ads.proxies()) {
      if (proxy === undefined) continue;
      const { id, pod, namespace } = proxy.node;
      if (proxyId === id || proxyId === `${pod}.${namespace}`) return proxy;
    }
    throw unknownProxy(proxyId);
  }
}

const SLICE_SERVICE = "kubernetes.io/service-name";

function isKind<K extends Resource["kind"]>(kind: K) {
  return (object: Resource): object is Extract<Resource, { readonly kind: K }> => object.kind === kind;
}
