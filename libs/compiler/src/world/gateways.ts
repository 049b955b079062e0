import type { Gateway } from "@lateen/mesh-model";
import { defineQuery, type Query } from "../engine/query-engine.ts";
import { labelsMatch } from "../lower/proto.ts";
import { sameList } from "../resource.ts";
import { type ProxyScope, scopeKey } from "../scope.ts";
import { objectsOf } from "./objects.ts";

/** Gateways whose selector selects the proxy, oldest first. */
export const gatewaysFor: Query<ProxyScope, readonly Gateway[]> = defineQuery<ProxyScope, readonly Gateway[]>({
  name: "gatewaysFor",
  key: scopeKey,
  compute: (read, scope) =>
    scope.kind !== "router"
      ? []
      : objectsOf<Gateway>(read, "Gateway").filter((gateway) => labelsMatch(gateway.spec.selector ?? {}, scope.labels)),
  equal: sameList,
});
