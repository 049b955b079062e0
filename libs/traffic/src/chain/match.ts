import { type Cidr, compileCidr, parseIp } from "../net/ip.ts";
import type { ConnectionFacts, FilterChainMatchSpec } from "./spec.ts";

export interface ChainMatcher {
  /** Index of the chain for the connection, or -1: use the listener's default chain. */
  pick(facts: ConnectionFacts): number;
}

interface CompiledChain {
  readonly index: number;
  readonly spec: FilterChainMatchSpec;
  readonly destinations: readonly Cidr[];
  readonly sources: readonly Cidr[];
}

/** How specifically a chain meets one criterion; negative = not at all, 0 = it does not ask. */
type Specificity = (chain: CompiledChain) => number;

/**
 * Compiles filter-chain matching with Envoy's order: destination port, destination address (longest prefix), server name (exact,
 * then longest `*.suffix`), transport protocol, application protocols (in the client's order), source address. Each criterion
 * keeps only the chains that meet it most specifically; there is no way back to a less specific one.
 * @throws LateenError LTN5902 for an unreadable address range.
 * @see envoy.config.listener.v3.FilterChainMatch
 */
export function compileChainMatcher(chains: readonly FilterChainMatchSpec[]): ChainMatcher {
  const compiled = chains.map((spec, index) => ({
    index,
    spec,
    destinations: spec.destinationPrefixes.map(compileCidr),
    sources: spec.sourcePrefixes.map(compileCidr),
  }));
  return {
    pick(facts) {
      const destination = parseIp(facts.destinationAddress);
      const source = parseIp(facts.sourceAddress);
      let left = keepBest(compiled, (chain) => portSpecificity(chain, facts.destinationPort));
      left = keepBest(left, (chain) => prefixSpecificity(chain.destinations, destination));
      left = keepBest(left, (chain) => serverNameSpecificity(chain.spec.serverNames, facts.serverName));
      left = keepBest(left, (chain) => exactSpecificity(chain.spec.transportProtocol, facts.transportProtocol));
      left = keepBest(left, (chain) => alpnSpecificity(chain.spec.applicationProtocols, facts.applicationProtocols));
      left = keepBest(left, (chain) => prefixSpecificity(chain.sources, source));
      return left[0]?.index ?? -1;
    },
  };
}

function keepBest(chains: readonly CompiledChain[], specificity: Specificity): readonly CompiledChain[] {
  let best = -1;
  let kept: CompiledChain[] = [];
  for (const chain of chains) {
    const value = specificity(chain);
    if (value < 0 || value < best) continue;
    if (value > best) {
      best = value;
      kept = [];
    }
    kept.push(chain);
  }
  return kept;
}

function portSpecificity(chain: CompiledChain, port: number): number {
  if (chain.spec.destinationPort === undefined) return 0;
  return chain.spec.destinationPort === port ? 1 : -1;
}

function prefixSpecificity(ranges: readonly Cidr[], ip: Uint8Array | undefined): number {
  if (ranges.length === 0) return 0;
  let best = -1;
  // A range of length 0 is still an answer to the question, level with not asking.
  for (const range of ranges) if (range.length > best && range.contains(ip)) best = range.length;
  return best;
}

function serverNameSpecificity(names: readonly string[], serverName: string): number {
  if (names.length === 0) return 0;
  let best = -1;
  for (const name of names) {
    if (name === "*" || name === "") best = Math.max(best, 0);
    else if (name === serverName) return Number.MAX_SAFE_INTEGER;
    else if (name.startsWith("*.") && serverName.length >= name.length && serverName.endsWith(name.slice(1))) {
      best = Math.max(best, name.length);
    }
  }
  return best;
}

function exactSpecificity(wanted: string, actual: string): number {
  if (wanted === "") return 0;
  return wanted === actual ? 1 : -1;
}

function alpnSpecificity(wanted: readonly string[], offered: readonly string[]): number {
  if (wanted.length === 0) return 0;
  const first = offered.findIndex((protocol) => wanted.includes(protocol));
  return first < 0 ? -1 : offered.length - first;
}
