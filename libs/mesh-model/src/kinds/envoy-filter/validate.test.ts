import { describe, expect, it } from "vitest";
import { documentOf, findingsOf } from "../../testing/findings.ts";

const patch = (applyTo: string, operation: string, rest = "", value = ", value: {name: a, typed_config: {}}") =>
  `{configPatches: [{applyTo: ${applyTo}, patch: {operation: ${operation}${value}}${rest}}]}`;

describe("an EnvoyFilter is accepted", () => {
  it.each([
    [
      "that inserts a filter",
      patch(
        "HTTP_FILTER",
        "INSERT_BEFORE",
        ", match: {context: SIDECAR_INBOUND, listener: {portNumber: 80, filterChain: {filter: {name: a, subFilter: {name: b}}}}, proxy: {proxyVersion: '^1\\.9.*', metadata: {A: b}}}",
      ),
    ],
    [
      "that merges into clusters",
      patch(
        "CLUSTER",
        "MERGE",
        ", match: {cluster: {service: a, portNumber: 80, subset: v1}}",
        ", value: {connect_timeout: 1s}",
      ),
    ],
    [
      "that removes a route",
      patch(
        "HTTP_ROUTE",
        "REMOVE",
        ", match: {routeConfiguration: {vhost: {name: a, route: {name: b, action: ROUTE}}}}",
        "",
      ),
    ],
    ["for a Gateway", "{targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: a}], priority: -10}"],
  ])("%s", (_title, spec) => {
    expect(findingsOf(documentOf("EnvoyFilter", spec))).toEqual([]);
  });
});

describe("an EnvoyFilter is refused, or warned about", () => {
  it.each([
    ["with a value missing", patch("CLUSTER", "ADD", "", ""), "error spec.configPatches[0].patch: ADD needs a value"],
    [
      "with an operation that does not fit",
      patch("CLUSTER", "INSERT_BEFORE"),
      "error spec.configPatches[0].patch.operation: INSERT_BEFORE cannot be used for CLUSTER",
    ],
    [
      "with a match that does not fit",
      patch("CLUSTER", "ADD", ", match: {listener: {portNumber: 80}}"),
      "error spec.configPatches[0].match.listener: CLUSTER cannot be selected by listener",
    ],
    [
      "with a bad version",
      patch("CLUSTER", "ADD", ", match: {proxy: {proxyVersion: '('}}"),
      'error spec.configPatches[0].match.proxy.proxyVersion: "(" is not a regular expression',
    ],
    [
      "that adds a bootstrap",
      patch("BOOTSTRAP", "ADD"),
      "error spec.configPatches[0].patch.operation: ADD cannot be used for BOOTSTRAP",
    ],
    [
      "for waypoints",
      patch("CLUSTER", "ADD", ", match: {context: WAYPOINT}"),
      "error spec.configPatches[0].match.context: there are no waypoints",
    ],
    [
      "with both ways to target",
      "{workloadSelector: {labels: {a: b}}, targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: a}]}",
      "error spec.targetRefs: only one of targetRefs and workloadSelector can be used",
    ],
    ["for a Service", "{targetRefs: [{kind: Service, name: a}]}", "error spec.targetRefs[0].kind: only a Gateway"],
    [
      "relative to nothing",
      patch("HTTP_FILTER", "INSERT_BEFORE"),
      "warning spec.configPatches[0].match: nothing says before or after what",
    ],
    [
      "without a type",
      patch("HTTP_FILTER", "INSERT_FIRST", "", ", value: {name: a}"),
      "warning spec.configPatches[0].patch.value: the filter has no typed_config",
    ],
    [
      "with a class for a cluster",
      patch("CLUSTER", "ADD", "", ", value: {}, filterClass: AUTHN"),
      "error spec.configPatches[0].patch.filterClass: only HTTP filters have a class",
    ],
  ])("%s", (_title, spec, expected) => {
    expect(findingsOf(documentOf("EnvoyFilter", spec)).map((text) => text.slice(0, expected.length))).toContain(
      expected,
    );
  });
});
