import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { decodeText, fieldPaths, type KindName, usedPaths } from "@lateen/mesh-model";
import { goldenCases } from "@lateen/test-support";
import { describe, expect, it } from "vitest";

const ROOT = new URL("../../compiler/goldens/", import.meta.url).pathname;
const DOCUMENT = new URL("../../../docs/reference/feature-coverage.md", import.meta.url).pathname;

/** Kinds that decide what proxies do, in the order of the document. */
const KINDS: readonly KindName[] = [
  "VirtualService",
  "DestinationRule",
  "Gateway",
  "Sidecar",
  "ServiceEntry",
  "WorkloadEntry",
  "WorkloadGroup",
  "PeerAuthentication",
  "AuthorizationPolicy",
  "HTTPRoute",
  "GRPCRoute",
  "TLSRoute",
  "TCPRoute",
  "BackendTLSPolicy",
  "Ingress",
];

/** The same settings at another level: those of a port or a subset are read by the same code as those of a destination. */
function levelless(path: string): string {
  return path
    .replace("spec.subsets[].trafficPolicy.", "spec.trafficPolicy.")
    .replace(/portLevelSettings\[\]\.(?!port\.)/, "")
    .replace("spec.ingress[].connectionPool.", "spec.inboundConnectionPool.")
    .replace("spec.rules[].backendRefs[].filters[].", "spec.rules[].filters[].");
}

const pathsOf = (kind: KindName) => [
  ...new Set(
    fieldPaths(kind)
      .filter((path) => !path.startsWith("status"))
      .map(levelless),
  ),
];

/** Goldens by kind and path. */
const used = new Map<string, string[]>();
for (const { name, path } of goldenCases(ROOT, "calls.yaml")) {
  const found = new Set<string>();
  for (const document of decodeText({ file: "input.yaml", text: readFileSync(path("input.yaml"), "utf8") })) {
    if (!document.ok) continue;
    const { kind } = document.object;
    for (const field of usedPaths(kind, document.object)) found.add(`${kind} ${levelless(field)}`);
  }
  for (const field of found) used.set(field, [...(used.get(field) ?? []), name]);
}

/** Fields that no golden can have, and why. */
const REASONS: readonly (readonly [kinds: string, path: RegExp, reason: string])[] = [
  ["VirtualService", /exponentialDelay|http2Error|sourceSubnet/, "refused, as Istio does nothing with it"],
  ["DestinationRule", /workloadSelector\.labels/, "refused: the API writes `matchLabels`"],
  ["Sidecar,ServiceEntry", /workloadSelector\.matchLabels/, "refused: the API writes `labels`"],
  ["PeerAuthentication,AuthorizationPolicy", /selector\.labels/, "refused: the API writes `matchLabels`"],
  ["Gateway,Sidecar", /port\.targetPort/, "deprecated, warned about and without effect in Istio"],
  [
    "Sidecar",
    /ingress\[\]\.tls\.(httpsRedirect|mode: (PASSTHROUGH|AUTO_PASSTHROUGH|ISTIO_MUTUAL|OPTIONAL_MUTUAL)|credentialName|tlsCertificates|verifyCertificate)/,
    "refused: listeners of Sidecars end TLS of modes SIMPLE and MUTUAL with files",
  ],
  [
    "Sidecar",
    /inboundConnectionPool\.http\.h2UpgradePolicy: (DO_NOT_UPGRADE|UPGRADE)/,
    "towards applications, clients decide",
  ],
  ["WorkloadGroup", /^spec\.probe\./, "what agents do with it is tested with them (libs/envoy-agent)"],
  ["WorkloadGroup", /template\.address/, "refused: each machine has its own"],
  ["WorkloadGroup", /./, "becomes part of the entries of machines (libs/pilot, registration)"],
  ["AuthorizationPolicy", /targetRefs?(\[\])?\.namespace/, "refused: targets are in the namespace of the policy"],
  ["AuthorizationPolicy", /targetRef\./, "the older way to write one of `targetRefs`"],
  ["HTTPRoute,GRPCRoute", /type: Ext/, "refused"],
];

function reasonOf(kind: string, path: string): string | undefined {
  return REASONS.find(([kinds, pattern]) => kinds.split(",").includes(kind) && pattern.test(path))?.[2];
}

/** At most so many goldens are named for a field: the ones that are about least else would be best, the first few do. */
const NAMED = 3;
const SEPARATOR = " | ";

function documentText(): string {
  const parts = KINDS.flatMap((kind) => {
    const paths = pathsOf(kind);
    const covered = paths.filter((path) => used.has(`${kind} ${path}`));
    const open = paths.filter((path) => !used.has(`${kind} ${path}`));
    const rows = covered.map((path) => {
      const goldens = used.get(`${kind} ${path}`) ?? [];
      const more = goldens.length > NAMED ? ` and ${goldens.length - NAMED} more` : "";
      return `| \`${path}\`${SEPARATOR}${goldens.slice(0, NAMED).join(", ")}${more} |`;
    });
    return [
      `## ${kind}: ${covered.length} of ${paths.length}`,
      "",
      ...(rows.length === 0 ? [] : ["| Field | Goldens |", "|---|---|", ...rows, ""]),
      ...[...Map.groupBy(open, (path) => reasonOf(kind, path))].flatMap(([reason, fields]) => [
        `In no golden${reason === undefined ? "" : ` (${reason})`}: ${fields.map((path) => `\`${path}\``).join(", ")}.`,
        "",
      ]),
    ];
  });
  return `${[
    "# Fields and their goldens",
    "",
    "Every field of Istio's API that is honoured, whatever its level, with folders of `libs/compiler/goldens` that use it: an input, calls with what becomes of them,",
    "and the generated resources. What is refused is in [validation.md](validation.md).",
    "",
    "Generated: `UPDATE_GOLDENS=1 npx vitest run src/feature-coverage.test.ts`, in libs/simulate.",
    "",
    ...parts,
  ].join("\n")}`;
}

describe("docs/reference/feature-coverage.md", () => {
  if (process.env.UPDATE_GOLDENS === "1") writeFileSync(DOCUMENT, documentText());
  const text = existsSync(DOCUMENT) ? readFileSync(DOCUMENT, "utf8") : "";
  const sections = text.split(/^## /m).slice(1);

  it.each(KINDS)("%s: the goldens it names use the fields", (kind) => {
    const section = sections.find((one) => one.startsWith(`${kind}:`)) ?? "";
    const rows = section.split("\n").filter((line) => line.startsWith("| `"));
    expect(section).not.toBe("");
    for (const row of rows) {
      const [, path = "", goldens = ""] = /^\| `(.+)` \| (.+) \|$/.exec(row) ?? [];
      const named = goldens.replace(/ and \d+ more$/, "").split(", ");
      expect({ path, found: used.get(`${kind} ${path}`) ?? [] }).toEqual({
        path,
        found: expect.arrayContaining(named),
      });
    }
  });

  it.each(KINDS)("%s: every field is in a golden, or has its reason", (kind) => {
    const open = pathsOf(kind).filter((path) => !used.has(`${kind} ${path}`) && reasonOf(kind, path) === undefined);
    expect(open).toEqual([]);
  });

  it.each(["VirtualService", "DestinationRule", "Gateway", "Sidecar", "ServiceEntry"] as const)(
    "%s: no field has left the goldens since the document was written",
    (kind) => {
      const paths = pathsOf(kind);
      const covered = paths.filter((path) => used.has(`${kind} ${path}`)).length;
      const written = Number(/: (\d+) of/.exec(sections.find((one) => one.startsWith(`${kind}:`)) ?? "")?.[1] ?? "0");
      expect(covered).toBeGreaterThanOrEqual(written);
    },
  );
});
