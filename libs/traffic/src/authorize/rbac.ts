import { HeadView } from "../head/head.ts";
import { compileHeaderMatch } from "../match/header.ts";
import { compileMetadataMatch } from "../match/metadata.ts";
import { compileStringMatch, compileTextMatch } from "../match/string.ts";
import { compileCidr, parseIp } from "../net/ip.ts";
import { compilePathIndex } from "../route/path-index.ts";
import type { HeaderMatchSpec, MetadataMatchSpec } from "../route/spec.ts";
import type { PeerFacts, PermissionSpec, PrincipalSpec, RbacPolicySpec, RbacSpec, RbacVerdict } from "./spec.ts";

export interface CompiledRbac {
  /** @param head undefined for connections that carry no HTTP: conditions on it then see an empty head. */
  evaluate(head: HeadView | undefined, peer: PeerFacts): RbacVerdict;
}

type Check = (head: HeadView, peer: PeerFacts) => boolean;

/**
 * Compiles an RBAC. Policies are tried in name order; a match allows (`allow`), denies (`deny`) or is only named (`log`).
 * Without a match `allow` denies, the others allow. Evaluation makes no objects.
 * @throws LateenError LTN5901, LTN5902 for expressions and ranges that cannot be read.
 * @see envoy.config.rbac.v3.RBAC
 */
export function compileRbac(spec: RbacSpec): CompiledRbac {
  const onMatch = spec.action !== "deny";
  const unmatched: RbacVerdict = { allowed: spec.action !== "allow", policy: undefined };
  const policies = Object.keys(spec.policies)
    .sort()
    .map((name) => {
      const policy = spec.policies[name] ?? { permissions: [], principals: [] };
      return {
        matches: compilePolicy(policy),
        paths: pathsOfAny(policy.permissions) ?? pathsOfAny(policy.principals),
        verdict: { allowed: onMatch, policy: name } satisfies RbacVerdict,
      };
    });
  const first = policies.length < WORTH_AN_INDEX ? inTurn(policies) : byPath(policies);
  return {
    evaluate: (head, peer) => first(head ?? NO_HEAD, peer)?.verdict ?? unmatched,
  };
}

/** From so many policies on their paths are hashed rather than tried in turn. */
const WORTH_AN_INDEX = 4;

interface Policy {
  readonly matches: Check;
  /** Every request that matches has one of these paths; undefined: nothing is known. */
  readonly paths: readonly PathSpec[] | undefined;
  readonly verdict: RbacVerdict;
}

/** The first policy that matches. */
type FirstMatch = (head: HeadView, peer: PeerFacts) => Policy | undefined;

function inTurn(policies: readonly Policy[]): FirstMatch {
  return (head, peer) => {
    for (const policy of policies) if (policy.matches(head, peer)) return policy;
    return undefined;
  };
}

/** Tries only policies that the path of the request does not rule out, in the same order. */
function byPath(policies: readonly Policy[]): FirstMatch {
  const entries = policies.flatMap((policy) => (policy.paths ?? [ANY_PATH]).map((path) => ({ path, policy })));
  const index = compilePathIndex(entries.map(({ path }) => path));
  // The request at hand, so that `accept` is one closure for all requests.
  let head = NO_HEAD;
  let peer: PeerFacts | undefined;
  const accept = (at: number): boolean => peer !== undefined && entries[at]?.policy.matches(head, peer) === true;
  return (judged, asking) => {
    head = judged;
    peer = asking;
    const found = index.first(judged, accept);
    head = NO_HEAD;
    peer = undefined;
    return entries[found]?.policy;
  };
}

interface PathSpec {
  readonly kind: "exact" | "prefix";
  readonly value: string;
  readonly ignoreCase: boolean;
}
const ANY_PATH: PathSpec = { kind: "prefix", value: "", ignoreCase: false };

function pathsOfAny(specs: readonly (PermissionSpec | PrincipalSpec)[]): readonly PathSpec[] | undefined {
  const all: PathSpec[] = [];
  for (const spec of specs) {
    const paths = pathsOf(spec);
    if (paths === undefined) return undefined;
    all.push(...paths);
  }
  return all;
}

/** Exact paths and prefixes of which a request has one if it meets the condition; undefined: it may have any path. */
function pathsOf(spec: PermissionSpec | PrincipalSpec): readonly PathSpec[] | undefined {
  switch (spec.kind) {
    case "urlPath": {
      const { path } = spec;
      if ((path.kind !== "exact" && path.kind !== "prefix") || path.ignoreCase) return undefined;
      return [{ kind: path.kind, value: path.value, ignoreCase: false }];
    }
    case "or":
      return pathsOfAny(spec.of);
    case "and":
      for (const part of spec.of) {
        const paths = pathsOf(part);
        if (paths !== undefined) return paths;
      }
      return undefined;
    default:
      return undefined;
  }
}

const NO_HEAD: HeadView = new HeadView();

function compilePolicy(policy: RbacPolicySpec): Check {
  const permission = anyOf(policy.permissions.map(compilePermission));
  const principal = anyOf(policy.principals.map(compilePrincipal));
  return (head, peer) => permission(head, peer) && principal(head, peer);
}

function compilePermission(spec: PermissionSpec): Check {
  switch (spec.kind) {
    case "any":
      return () => true;
    case "and":
      return allOf(spec.of.map(compilePermission));
    case "or":
      return anyOf(spec.of.map(compilePermission));
    case "not": {
      const check = compilePermission(spec.of);
      return (head, peer) => !check(head, peer);
    }
    case "header":
      return header(spec.header);
    case "urlPath":
      return urlPath(spec.path);
    case "destinationIp":
      return ipWithin(spec.cidr, (peer) => peer.destinationAddress);
    case "destinationPort":
      return (_, peer) => peer.destinationPort === spec.port;
    case "serverName": {
      const match = compileTextMatch(spec.match);
      return (_, peer) => match(peer.serverName);
    }
    case "metadata":
      return metadata(spec.metadata);
  }
}

function compilePrincipal(spec: PrincipalSpec): Check {
  switch (spec.kind) {
    case "any":
      return () => true;
    case "and":
      return allOf(spec.of.map(compilePrincipal));
    case "or":
      return anyOf(spec.of.map(compilePrincipal));
    case "not": {
      const check = compilePrincipal(spec.of);
      return (head, peer) => !check(head, peer);
    }
    case "authenticated": {
      if (spec.principal === undefined) return (_, peer) => peer.principal !== undefined;
      const match = compileTextMatch(spec.principal);
      return (_, peer) => peer.principal !== undefined && match(peer.principal);
    }
    case "directRemoteIp":
    case "sourceIp":
      return ipWithin(spec.cidr, (peer) => peer.sourceAddress);
    case "remoteIp":
      return ipWithin(spec.cidr, (peer) => peer.remoteAddress);
    case "header":
      return header(spec.header);
    case "urlPath":
      return urlPath(spec.path);
    case "metadata":
      return metadata(spec.metadata);
  }
}

function metadata(spec: MetadataMatchSpec): Check {
  const match = compileMetadataMatch(spec);
  return (_, peer) => match(peer.metadata);
}

function header(spec: HeaderMatchSpec): Check {
  const match = compileHeaderMatch(spec);
  return (head) => match(head);
}

function urlPath(path: Parameters<typeof compileStringMatch>[0]): Check {
  const match = compileStringMatch(path);
  return (head) => match(head.bytes, head.pathStart, head.queryStart);
}

function ipWithin(cidr: string, address: (peer: PeerFacts) => string): Check {
  const range = compileCidr(cidr);
  // Addresses repeat from request to request of a connection: the last judgement is kept.
  let lastAddress = "";
  let lastVerdict = range.contains(undefined);
  return (_, peer) => {
    const text = address(peer);
    if (text !== lastAddress) {
      lastAddress = text;
      lastVerdict = range.contains(parseIp(text));
    }
    return lastVerdict;
  };
}

function anyOf(checks: readonly Check[]): Check {
  const [only] = checks;
  if (checks.length === 1 && only !== undefined) return only;
  return (head, peer) => {
    for (const check of checks) if (check(head, peer)) return true;
    return false;
  };
}

function allOf(checks: readonly Check[]): Check {
  const [only] = checks;
  if (checks.length === 1 && only !== undefined) return only;
  return (head, peer) => {
    for (const check of checks) if (!check(head, peer)) return false;
    return true;
  };
}
