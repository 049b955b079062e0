import { Secret } from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/secret";
import { defineQuery } from "../engine/query-engine.ts";
import { type EncodedResource, sameMap } from "../resource.ts";
import { type NodeScope, type ProxyScope, scopeKey } from "../scope.ts";
import { destinationPolicy, policyClient } from "../world/destination-rules.ts";
import { visibleServices } from "../world/visibility.ts";
import { credentialsOf, storedCredential } from "./credentials.ts";
import { byName, encode } from "./encode.ts";
import { certificate, scopeSecrets, trust } from "./gateways.ts";

/**
 * Client certificates and roots that destination rules name, from Secrets of the proxy's own namespace. A gateway gets those of
 * every rule it follows; a sidecar only those of rules that select it by its labels, so that a Secret does not reach workloads it
 * was not meant for.
 */
const clientSecrets = defineQuery<ProxyScope, ReadonlyMap<string, EncodedResource>>({
  name: "clientSecrets",
  key: scopeKey,
  compute: (read, scope) => {
    const client = policyClient(read, scope);
    const names = new Set<string>();
    for (const { host } of read.ask(visibleServices, scope)) {
      const policy = read.ask(destinationPolicy, { host, client });
      if (policy === undefined || (scope.kind !== "router" && !policy.selecting)) continue;
      for (const { name } of credentialsOf(policy)) names.add(name);
    }
    const found = [...names].sort().flatMap((name) => {
      const stored = read.ask(storedCredential, { namespace: scope.namespace, name });
      return [
        ...(stored.pair === undefined ? [] : [certificate(`kubernetes://${name}`, stored.pair)]),
        ...(stored.trust === undefined ? [] : [trust(`kubernetes://${name}-cacert`, stored.trust)]),
      ];
    });
    return byName(found.map((secret) => encode(read, Secret, secret.name, secret)));
  },
  equal: sameMap,
});

/** All secrets of a proxy: as a server, and as a client. */
export const nodeSecrets = defineQuery<NodeScope, ReadonlyMap<string, EncodedResource>>({
  name: "nodeSecrets",
  key: scopeKey,
  compute: (read, scope) =>
    byName([...read.ask(scopeSecrets, scope.workload).values(), ...read.ask(clientSecrets, scope.client).values()]),
  equal: sameMap,
});
