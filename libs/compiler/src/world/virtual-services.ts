import { shortHostToFqdn, type VirtualService } from "@lateen/mesh-model";
import { defineQuery } from "../engine/query-engine.ts";
import { sameList } from "../resource.ts";
import { cells } from "./mesh-snapshot.ts";
import { objectsOf } from "./objects.ts";
import { settingsOf } from "./services.ts";

/** A virtual service with its names made absolute. */
export interface BoundVirtualService {
  readonly namespace: string;
  readonly name: string;
  /** Full host names or wildcards, lower case. */
  readonly hosts: readonly string[];
  /** `mesh` or `namespace/name`. */
  readonly gateways: readonly string[];
  /** Full names of the hosts it sends to. */
  readonly destinations: readonly string[];
  readonly spec: VirtualService["spec"];
}

const virtualServiceOfObject = defineQuery<string, BoundVirtualService | undefined>({
  name: "virtualServiceOfObject",
  compute: (read, key) => {
    const object = read.input(cells.object(key)) as VirtualService | undefined;
    if (object === undefined) return undefined;
    const { namespace, name } = object.metadata;
    const { domain } = settingsOf(read);
    const gateways = object.spec.gateways ?? [];
    return {
      namespace,
      name,
      hosts: (object.spec.hosts ?? []).map((host) => shortHostToFqdn(host, namespace, domain)),
      gateways: gateways.length === 0 ? ["mesh"] : gateways.map((gateway) => absoluteGateway(gateway, namespace)),
      destinations: destinationHosts(object.spec).map((host) => shortHostToFqdn(host, namespace, domain)),
      spec: object.spec,
    };
  },
});

function destinationHosts(spec: VirtualService["spec"]): readonly string[] {
  const { http = [], tcp = [], tls = [] } = spec;
  const routes = [...http, ...tcp, ...tls].flatMap((rule) => (rule.route ?? []).map(({ destination }) => destination));
  const mirrors = http.flatMap((rule) => [
    ...(rule.mirror === undefined ? [] : [rule.mirror]),
    ...(rule.mirrors ?? []).map(({ destination }) => destination),
  ]);
  return [...new Set([...routes, ...mirrors].map(({ host }) => host))];
}

/** `mesh` stays; `name` means one of the rule's namespace. */
export function absoluteGateway(gateway: string, namespace: string): string {
  return gateway === "mesh" || gateway.includes("/") ? gateway : `${namespace}/${gateway}`;
}

/** All virtual services, oldest first. */
export const allVirtualServices = defineQuery<"", readonly BoundVirtualService[]>({
  name: "allVirtualServices",
  compute: (read) =>
    objectsOf<VirtualService>(read, "VirtualService").flatMap((object) => {
      const bound = read.ask(
        virtualServiceOfObject,
        `VirtualService/${object.metadata.namespace}/${object.metadata.name}`,
      );
      return bound === undefined ? [] : [bound];
    }),
  equal: sameList,
});
