import { type DestinationRule, type Gateway, keyOf } from "@lateen/mesh-model";
import type { Read } from "../engine/query-engine.ts";
import { CONFIG_MAP_ROOTS } from "../lower/cluster-tls.ts";
import { credentialNames } from "../lower/gateway-tls.ts";
import type { WorkloadScope } from "../scope.ts";
import { gatewaysFor } from "../world/gateways.ts";
import { cells } from "../world/mesh-snapshot.ts";
import { keysOf } from "../world/services.ts";
import { type CompilerWarning, warningAbout } from "./compiler-warning.ts";
import { configMapRoots, credentialsOf, storedCredential } from "./credentials.ts";
import { placeOf } from "./gateways.ts";

/** Certificates that proxies could not read and do not get: of servers by the gateways that serve them, of rules by their own namespace. */
export function credentialWarnings(read: Read, scopes: readonly WorkloadScope[]): readonly CompilerWarning[] {
  const found = new Map<string, CompilerWarning>();
  const tell = (about: string, path: string, problems: readonly string[]) => {
    for (const problem of problems) {
      const warning = warningAbout(about, "LTN3113", path, problem);
      found.set(`${about} ${path} ${problem}`, warning);
    }
  };
  for (const scope of scopes.filter(({ kind }) => kind === "router")) {
    for (const gateway of read.ask(gatewaysFor, scope)) {
      for (const { path, name } of serverCredentials(gateway)) {
        tell(keyOf(gateway), path, read.ask(storedCredential, placeOf(name, gateway, scope.namespace)).problems);
      }
    }
  }
  for (const key of keysOf(read, "DestinationRule")) {
    const rule = read.input(cells.object(key)) as DestinationRule | undefined;
    if (rule === undefined) continue;
    const { namespace } = rule.metadata;
    for (const { path, name } of credentialsOf(rule.spec)) {
      const { problems } = name.startsWith(CONFIG_MAP_ROOTS)
        ? read.ask(configMapRoots, name)
        : read.ask(storedCredential, { namespace, name });
      tell(key, `spec.${path}`, problems);
    }
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, warning]) => warning);
}

function serverCredentials({ spec }: Gateway): readonly { readonly path: string; readonly name: string }[] {
  return (spec.servers ?? []).flatMap(({ tls }, index) =>
    tls === undefined
      ? []
      : credentialNames(tls).map((name) => ({ path: `spec.servers[${index}].tls.credentialName`, name })),
  );
}
