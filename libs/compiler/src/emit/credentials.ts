import type { ConfigMap, DestinationRule, Resource } from "@lateen/mesh-model";
import { keyPairProblem, type PemProblem, revocationProblem, rootsProblem } from "../convert/certificates.ts";
import { defineQuery, type Read } from "../engine/query-engine.ts";
import { CONFIG_MAP_ROOTS } from "../lower/cluster-tls.ts";
import { cells } from "../world/mesh-snapshot.ts";

/** What a Secret offers to proxies. What they could not read is left out, and told. */
export interface StoredCredential {
  readonly pair: { readonly chain: Buffer; readonly key: Buffer } | undefined;
  /** Roots, with lists of what they revoked. Without readable lists there are no roots: revoked certificates would be taken. */
  readonly trust: { readonly roots: Buffer; readonly revoked: Buffer | undefined } | undefined;
  /** Why something is left out. */
  readonly problems: readonly string[];
}

type Data = Readonly<Record<string, string>>;

/** The credential of a name: `<name>-cacert` is where its roots are when it exists, else they are in the Secret itself. */
export const storedCredential = defineQuery<{ readonly namespace: string; readonly name: string }, StoredCredential>({
  name: "storedCredential",
  compute: (read, { namespace, name }) => {
    const own = secretData(read, namespace, name);
    const apart = secretData(read, namespace, `${name}-cacert`);
    const separate = apart !== undefined && rootsIn(apart) !== undefined;
    const pair = pairOf(own ?? {});
    const trust = trustOf((separate ? apart : own) ?? {});
    const told = (secret: string, problem: PemProblem) =>
      problem === undefined ? [] : [`Secret ${namespace}/${secret} is not used: ${problem}`];
    return {
      pair: pair.problem === undefined ? pair.value : undefined,
      trust: trust.problem === undefined ? trust.value : undefined,
      problems: [...told(name, pair.problem), ...told(separate ? `${name}-cacert` : name, trust.problem)],
    };
  },
});

/** Roots of a ConfigMap, by its `configmap://namespace/name`. They are no secret: they may be read for clients of any namespace. */
export const configMapRoots = defineQuery<
  string,
  { readonly pem: string | undefined; readonly problems: readonly string[] }
>({
  name: "configMapRoots",
  compute: (read, credentialName) => {
    const name = credentialName.slice(CONFIG_MAP_ROOTS.length);
    const pem = (read.input(cells.object(`ConfigMap/${name}`)) as ConfigMap | undefined)?.data?.["ca.crt"];
    const problem = pem === undefined ? undefined : rootsProblem(pem);
    if (problem === undefined) return { pem, problems: [] };
    return { pem: undefined, problems: [`ConfigMap ${name} is not used: ${problem}`] };
  },
});

interface Part<T> {
  readonly value: T | undefined;
  readonly problem: PemProblem;
}

function pairOf(data: Data): Part<NonNullable<StoredCredential["pair"]>> {
  const chain = decoded(data["tls.crt"] ?? data.cert);
  const key = decoded(data["tls.key"] ?? data.key);
  if (chain === undefined && key === undefined) return { value: undefined, problem: undefined };
  if (chain === undefined) return { value: undefined, problem: "there is a key and no certificate" };
  if (key === undefined) return { value: undefined, problem: "there is a certificate and no key" };
  return { value: { chain, key }, problem: keyPairProblem(chain.toString("latin1"), key.toString("latin1")) };
}

const rootsIn = (data: Data): string | undefined => data["ca.crt"] ?? data.cacert;

function trustOf(data: Data): Part<NonNullable<StoredCredential["trust"]>> {
  const roots = decoded(rootsIn(data));
  const revoked = decoded(data["ca.crl"]);
  if (roots === undefined) return { value: undefined, problem: undefined };
  const problem =
    rootsProblem(roots.toString("latin1")) ??
    (revoked === undefined ? undefined : revocationProblem(revoked.toString("latin1")));
  return { value: { roots, revoked }, problem };
}

function secretData(read: Read, namespace: string, name: string): Data | undefined {
  const secret = read.input(cells.object(`Secret/${namespace}/${name}`)) as Resource<"Secret"> | undefined;
  return secret === undefined ? undefined : (secret.data ?? {});
}

function decoded(base64: string | undefined): Buffer | undefined {
  return base64 === undefined || base64 === "" ? undefined : Buffer.from(base64, "base64");
}

type TrafficPolicy = DestinationRule["spec"]["trafficPolicy"] | undefined;

/** Credentials that a destination rule names, by place in its `spec`. */
export function credentialsOf({
  trafficPolicy,
  subsets = [],
}: {
  readonly trafficPolicy?: TrafficPolicy;
  readonly subsets?: readonly { readonly trafficPolicy?: TrafficPolicy }[];
}): readonly {
  readonly path: string;
  readonly name: string;
}[] {
  const policies = [
    { path: "trafficPolicy", policy: trafficPolicy },
    ...subsets.map((subset, index) => ({ path: `subsets[${index}].trafficPolicy`, policy: subset.trafficPolicy })),
  ];
  return policies.flatMap(({ path, policy }) =>
    [
      { path: `${path}.tls`, tls: policy?.tls },
      ...(policy?.portLevelSettings ?? []).map(({ tls }, index) => ({
        path: `${path}.portLevelSettings[${index}].tls`,
        tls,
      })),
    ].flatMap(({ path: at, tls }) =>
      tls?.credentialName ? [{ path: `${at}.credentialName`, name: tls.credentialName }] : [],
    ),
  );
}
