import { describe, expect, it } from "vitest";
import { compileChainMatcher } from "./match.ts";
import type { ConnectionFacts, FilterChainMatchSpec } from "./spec.ts";

const chain = (change: Partial<FilterChainMatchSpec> = {}): FilterChainMatchSpec => ({
  destinationPort: undefined,
  destinationPrefixes: [],
  sourcePrefixes: [],
  serverNames: [],
  transportProtocol: "",
  applicationProtocols: [],
  ...change,
});
const facts = (change: Partial<ConnectionFacts> = {}): ConnectionFacts => ({
  destinationAddress: "10.0.0.1",
  destinationPort: 9080,
  sourceAddress: "10.0.0.9",
  serverName: "",
  transportProtocol: "raw_buffer",
  applicationProtocols: [],
  ...change,
});
const pick = (chains: readonly Partial<FilterChainMatchSpec>[], connection: Partial<ConnectionFacts> = {}) =>
  compileChainMatcher(chains.map(chain)).pick(facts(connection));

describe("one criterion", () => {
  it.each<[string, Partial<FilterChainMatchSpec>[], Partial<ConnectionFacts>, number]>([
    ["anything", [{}], {}, 0],
    ["no chain", [], {}, -1],
    ["destination port", [{}, { destinationPort: 9080 }], {}, 1],
    ["another destination port", [{ destinationPort: 80 }], {}, -1],
    [
      "the longest prefix",
      [{ destinationPrefixes: ["10.0.0.0/8"] }, { destinationPrefixes: ["10.0.0.1/32", "0.0.0.0/0"] }],
      {},
      1,
    ],
    ["a prefix over none", [{}, { destinationPrefixes: ["10.0.0.0/8"] }], {}, 1],
    ["an exact name", [{ serverNames: ["*.b.c"] }, { serverNames: ["a.b.c"] }], { serverName: "a.b.c" }, 1],
    ["the longest suffix", [{ serverNames: ["*.c"] }, { serverNames: ["*.b.c"] }], { serverName: "a.b.c" }, 1],
    ["a suffix is below the name", [{ serverNames: ["*.b.c"] }], { serverName: "b.c" }, -1],
    ["no name when one is asked for", [{ serverNames: ["a"] }], {}, -1],
    ["transport", [{}, { transportProtocol: "tls" }], { transportProtocol: "tls" }, 1],
    ["another transport", [{ transportProtocol: "tls" }], {}, -1],
    [
      "the client's first protocol",
      [{ applicationProtocols: ["http/1.1"] }, { applicationProtocols: ["h2"] }],
      { applicationProtocols: ["h2", "http/1.1"] },
      1,
    ],
    ["no common protocol", [{ applicationProtocols: ["h2"] }], { applicationProtocols: ["istio"] }, -1],
    ["source prefix", [{}, { sourcePrefixes: ["10.0.0.8/30"] }], {}, 1],
  ])("%s", (_, chains, connection, expected) => {
    expect(pick(chains, connection)).toBe(expected);
  });
});

describe("precedence", () => {
  it("is port, address, name, transport, protocols, source, without a way back", () => {
    // The port decides; that its chain then fails on the name does not bring the other chain back.
    expect(pick([{ destinationPort: 9080, serverNames: ["a"] }, { serverNames: ["b"] }], { serverName: "b" })).toBe(-1);
    expect(
      pick([
        { destinationPrefixes: ["10.0.0.1/32"], transportProtocol: "tls" },
        { destinationPrefixes: ["10.0.0.0/8"] },
      ]),
    ).toBe(-1);
    expect(
      pick([{ serverNames: ["a"], applicationProtocols: ["h2"] }, { applicationProtocols: ["http/1.1"] }], {
        serverName: "a",
        applicationProtocols: ["http/1.1"],
      }),
    ).toBe(-1);
  });

  // The chains of an inbound listener with permissive mutual TLS.
  const inbound: Partial<FilterChainMatchSpec>[] = [
    {
      destinationPort: 9080,
      transportProtocol: "tls",
      applicationProtocols: ["istio-http/1.0", "istio-http/1.1", "istio-h2"],
    },
    { destinationPort: 9080, transportProtocol: "tls", applicationProtocols: ["istio", "istio-peer-exchange"] },
    { destinationPort: 9080, transportProtocol: "tls" },
    { destinationPort: 9080, applicationProtocols: ["http/1.0", "http/1.1", "h2c"] },
    { destinationPort: 9080, transportProtocol: "raw_buffer" },
    {},
  ];
  it.each<[string, Partial<ConnectionFacts>, number]>([
    ["mesh http", { transportProtocol: "tls", applicationProtocols: ["istio-http/1.1"] }, 0],
    ["mesh tcp", { transportProtocol: "tls", applicationProtocols: ["istio-peer-exchange", "istio"] }, 1],
    ["an application's own TLS", { transportProtocol: "tls", applicationProtocols: ["h2"] }, 2],
    ["plain bytes", {}, 4],
    ["another port", { destinationPort: 1, transportProtocol: "tls" }, 5],
  ])("takes %s to its chain", (_, connection, expected) => {
    expect(pick(inbound, connection)).toBe(expected);
  });
});
