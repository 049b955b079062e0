import { describe, expect, it } from "vitest";
import { formatOrigin } from "../origin.ts";
import { objectsOf } from "../testing/findings.ts";
import { decodeObject, decodeText } from "./decode.ts";
import { limits } from "./limits.ts";
import type { DecodedDocument } from "./types.ts";

const SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 1}]}\n";
const named = (name: string) => SERVICE.replace("name: a", `name: ${name}`);
const decode = (text: string) => decodeText({ file: "f.yaml", text });

function outcomes(documents: readonly DecodedDocument[]): readonly string[] {
  return documents.map((document) => {
    if (document.ok) return document.object.metadata.name;
    return document.ignored ? `ignored ${document.kind}` : `refused ${document.kind}`;
  });
}

/** `file:line:column code` of every finding. */
function places(text: string): readonly string[] {
  return decode(text).flatMap((document) =>
    (document.ok ? document.warnings : document.diagnostics).map(
      ({ origin, code }) => `${formatOrigin(origin)} ${code}`,
    ),
  );
}

describe("documents", () => {
  it.each([
    ["one", SERVICE, ["a"]],
    ["several, with markers at both ends", `---\n${named("a")}---\n${named("b")}---\n`, ["a", "b"]],
    ["comments and blank documents between", `# x\n---\n# only a comment\n---\n${SERVICE}\n...\n# end\n`, ["a"]],
    ["a marker with a comment behind", `--- # first\n${named("a")}--- # second\n${named("b")}`, ["a", "b"]],
    ["Windows line ends", `${named("a")}---\n${named("b")}`.replaceAll("\n", "\r\n"), ["a", "b"]],
    ["a byte order mark", `\uFEFF${SERVICE}`, ["a"]],
    [
      "JSON",
      JSON.stringify({ apiVersion: "v1", kind: "Service", metadata: { name: "j" }, spec: { ports: [{ port: 1 }] } }),
      ["j"],
    ],
    [
      "a list",
      `apiVersion: v1\nkind: List\nitems:\n- ${named("a").replaceAll("\n", "\n  ")}\n- ${named("b").replaceAll("\n", "\n  ")}\n`,
      ["a", "b"],
    ],
    [
      "a typed list inside a list",
      `apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ServiceList\n  items:\n  - ${SERVICE.replaceAll("\n", "\n    ")}`,
      ["a"],
    ],
    ["an empty list", "apiVersion: v1\nkind: List\nitems: []\n", []],
    ["nothing", "", []],
    ["only comments", "# a\n# b\n", []],
    ["a syntax error between good ones", `${named("a")}---\n{ broken: [\n---\n${named("b")}`, ["a", "refused ", "b"]],
    [
      "a foreign kind between good ones",
      `${named("a")}---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: x}\n---\n${named("b")}`,
      ["a", "ignored PodDisruptionBudget", "b"],
    ],
    ["something that is no object", "- 1\n- 2\n", ["refused "]],
    ["a string", "hello\n", ["refused "]],
  ])("reads %s", (_, text, expected) => {
    expect(outcomes(decode(text))).toEqual(expected);
  });
});

describe("kinds", () => {
  const header = (apiVersion: string, kind: string) =>
    `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: a}\n`;

  it.each([
    ["networking.k8s.io/v1", "NetworkPolicy"],
    ["autoscaling/v2", "HorizontalPodAutoscaler"],
    ["rbac.authorization.k8s.io/v1", "Role"],
    ["apps/v1", "DaemonSet"],
    ["batch/v1", "CronJob"],
    ["v1", "PersistentVolumeClaim"],
    ["cert-manager.io/v1", "Certificate"],
    ["monitoring.coreos.com/v1", "ServiceMonitor"],
    ["networking.gke.io/v1", "ManagedCertificate"],
    ["security.openshift.io/v1", "SecurityContextConstraints"],
    ["serving.knative.dev/v1", "Service"],
    ["policy.linkerd.io/v1alpha1", "AuthorizationPolicy"],
    ["apiextensions.k8s.io/v1", "CustomResourceDefinition"],
  ])("%s %s is left out with a warning", (apiVersion, kind) => {
    const [document] = decode(header(apiVersion, kind));
    expect(document).toMatchObject({ ok: false, ignored: true, kind, name: "a", diagnostics: [{ level: "warning" }] });
    expect(document).toHaveProperty(["diagnostics", 0, "message"], expect.stringContaining("not handled by Lateen"));
  });

  it.each([
    ["extensions.istio.io/v1alpha1", "TrafficExtension", "would be accepted and not enforced"],
    ["gateway.networking.k8s.io/v1alpha2", "UDPRoute", "would be accepted and not enforced"],
    ["extensions/v1beta1", "Ingress", 'kind Ingress does not belong to "extensions"'],
    ["networking.istio.io/v1", "VirtualServices", 'kind "VirtualServices" is not known'],
    ["networking.istio.io/v2", "VirtualService", 'VirtualService has no apiVersion "networking.istio.io/v2"'],
    ["networking.istoi.io/v1", "VirtualService", "is not known for kind VirtualService"],
    ["istio.io/v1", "AuthorizationPolicy", "is not known for kind AuthorizationPolicy"],
    ["v1", "Deployment", 'kind Deployment does not belong to "v1"'],
    ["v1", "Sevice", 'kind "Sevice" is not known'],
  ])("%s %s is refused", (apiVersion, kind, message) => {
    const [document] = decode(header(apiVersion, kind));
    expect(document).toMatchObject({ ok: false, ignored: false, diagnostics: [{ level: "error" }] });
    expect(document).toHaveProperty(["diagnostics", 0, "message"], expect.stringContaining(message));
  });

  it.each(["v1", "v1beta1", "v1alpha3"])("networking.istio.io/%s is stored as v1", (version) => {
    const text = `${header(`networking.istio.io/${version}`, "Sidecar")}spec: {egress: [{hosts: ["./*"]}]}\n`;
    expect(objectsOf(text)[0]?.apiVersion).toBe("networking.istio.io/v1");
  });
});

describe("names", () => {
  it("an object without namespace gets the default one", () => {
    const [plain] = decode(SERVICE);
    const [given] = decodeText({ file: "f", text: SERVICE }, { defaultNamespace: "prod" });
    expect(plain).toMatchObject({ object: { metadata: { namespace: "default" } } });
    expect(given).toMatchObject({ object: { metadata: { namespace: "prod" } } });
  });

  it("an object of the cluster has none", () => {
    const text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, namespace: b}\n";
    expect(objectsOf(text)[0]?.metadata.namespace).toBe("");
  });

  it.each([
    ["no name", "metadata: {}", 'field "name" is required'],
    ["no metadata", "", 'field "name" is required'],
    ["a generated name", "metadata: {generateName: a-}", 'field "name" is required'],
    ["an upper-case name", "metadata: {name: A}", '"A" is not a valid name for a Service'],
    ["a dotted name", "metadata: {name: a.b}", '"a.b" is not a valid name for a Service'],
    ["an illegal namespace", "metadata: {name: a, namespace: A}", '"A" is not a valid namespace'],
    ["an illegal label", "metadata: {name: a, labels: {-x: y}}", '"-x" is not a valid label name'],
    ["a number as label", "metadata: {name: a, labels: {version: 1}}", "must be a string, not the number 1"],
  ])("%s is refused", (_, metadata, message) => {
    const [document] = decode(SERVICE.replace("metadata: {name: a}", metadata));
    expect(document).toHaveProperty(["diagnostics", 0, "message"], message);
  });

  it("a refused object still says which one it is", () => {
    const [document] = decode(SERVICE.replace("port: 1", "port: 0"));
    expect(document).toMatchObject({
      ok: false,
      key: "Service/default/a",
      kind: "Service",
      namespace: "default",
      name: "a",
    });
  });
});

describe("places", () => {
  it.each([
    ["a value", SERVICE.replace("port: 1", "port: 0"), ["f.yaml:4:23 LTN1008"]],
    ["a field's name", `${SERVICE.replace("spec:", "spce:")}`, ["f.yaml:1:1 LTN1006", "f.yaml:4:1 LTN1004"]],
    [
      "a later document",
      `# one\n---\n${named("a")}---\n\n# two\n${SERVICE.replace("port: 1", "port: 0")}`,
      ["f.yaml:13:23 LTN1008"],
    ],
    ["Windows line ends", SERVICE.replace("port: 1", "port: 0").replaceAll("\n", "\r\n"), ["f.yaml:4:23 LTN1008"]],
    ["a syntax error", `${SERVICE}---\na: 1\n b: 2\n`, ["f.yaml:7:2 LTN1001"]],
    ["a name written twice", `${SERVICE}kind: Service\n`, ["f.yaml:5:1 LTN1011"]],
    [
      "an item of a list",
      `apiVersion: v1\nkind: List\nitems:\n- ${SERVICE.replace("port: 1", "port: 0").replaceAll("\n", "\n  ")}\n`,
      ["f.yaml:7:25 LTN1008"],
    ],
    ["tabs", "apiVersion: v1\n\tkind: Service\n", ["f.yaml:2:1 LTN1001"]],
    [
      "a value behind an alias",
      "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [&p {name: x, port: 0}], externalIPs: []}\n",
      ["f.yaml:4:35 LTN1008"],
    ],
    ["a NUL", `${SERVICE}\0`, ["f.yaml:5:1 LTN1001"]],
    ["a missing kind", "apiVersion: v1\nmetadata: {name: a}\n", ["f.yaml:1:1 LTN1006"]],
  ])("names the place of %s", (_, text, expected) => {
    expect(places(text)).toEqual(expected);
  });

  it.each([
    [
      "a line indented too deep",
      "spec:\n  a: 1\n   b: 2\n",
      "3:4 this line is indented differently from those before it",
    ],
    ["a colon in a value", "a: b: c\n", '1:4 a value with ": " in it must be put in quotes'],
    ["a quote left open", 'a: "x\nb: 1\n', '3:1 missing closing "quote'],
    ["a tab", "spec:\n\ta: 1\n", "2:1 tabs are not allowed as indentation"],
    ["an alias of nothing", "a: *x\n", "1:4 alias *x has no anchor before it"],
    ["a map as a name", "? [a]\n: b\n", "1:3 a name must be plain text"],
    ["an unknown tag", "a: !!foo 1\n", "1:4 unresolved tag: tag:yaml.org,2002:foo"],
    ["infinity", "a: .inf\n", "1:4 .inf is not a number that can be kept"],
  ])("explains %s", (_, text, expected) => {
    const [document] = decode(text);
    const told = document?.ok === false ? document.diagnostics : [];
    expect(told.map(({ origin, message }) => `${origin.line}:${origin.column} ${message}`)).toEqual([expected]);
  });

  it("says what to do", () => {
    const text = SERVICE.replace("{ports: [{port: 1}]}", "{ports: [{prot: 1, port: 1}], type: NodePrt}");
    const [document] = decode(text);
    expect(document).toMatchObject({
      diagnostics: [
        { path: "spec.type", hint: "did you mean NodePort?" },
        { path: "spec.ports[0].prot", hint: 'did you mean "port"?' },
      ],
    });
  });

  it("of parsed JSON all findings point at its origin", () => {
    const origin = { file: "store", line: 7, column: 3 };
    const value = { apiVersion: "v1", kind: "Service", metadata: { name: "a" }, spec: { ports: [{ port: 0 }] } };
    expect(decodeObject(value, origin)).toMatchObject({ diagnostics: [{ path: "spec.ports[0].port", origin }] });
  });
});

describe("bounds", () => {
  const refusal = (text: string) => {
    const document = decode(text).at(-1);
    return document?.ok === false ? document.diagnostics[0] : undefined;
  };
  const bomb = (levels: number) => {
    const lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"];
    for (let i = 1; i <= levels; i++) {
      lines.push(`a${i}: &a${i} [${Array.from({ length: 10 }, () => `*a${i - 1}`).join(", ")}]`);
    }
    return `${lines.join("\n")}\n`;
  };

  it.each([
    ["a text of more than 10 MiB", "#".repeat(limits.textLength + 1), "the text is longer than 10 MiB"],
    ["nesting in brackets", `${"[".repeat(5000)}`, "nested deeper than 64 levels"],
    [
      "nesting in maps",
      Array.from({ length: 100 }, (_, i) => `${" ".repeat(i)}a:`).join("\n"),
      "nested deeper than 64 levels",
    ],
    ["aliases of aliases", bomb(9), "aliases expand to more than 10000 values"],
    ["an alias of itself", "a: &a [*a]\n", "nested deeper than 64 levels"],
    ["too many documents", "a: 1\n---\n".repeat(limits.documents + 5), "more than 20000 documents in one text"],
  ])(
    "refuses %s",
    (_, text, message) => {
      const started = performance.now();
      expect(refusal(text)).toMatchObject({ code: "LTN1002", message });
      expect(performance.now() - started).toBeLessThan(30_000);
    },
    60_000,
  );

  it.each([
    ["anchors", "&a ".repeat(100_000)],
    ["quotes", '"'.repeat(100_000)],
    ["commas", `[${",".repeat(100_000)}]`],
    ["escapes", `a: "${"\\x".repeat(100_000)}"`],
    ["markers", "---\n".repeat(100_000)],
    ["brackets", "[]".repeat(100_000)],
    ["one long value", `a: ${"x".repeat(2_000_000)}`],
  ])("a flood of %s is soon done with", (_, text) => {
    const started = performance.now();
    expect(decode(text).flatMap((document) => (document.ok ? [] : document.diagnostics)).length).toBeLessThanOrEqual(
      101,
    );
    expect(performance.now() - started).toBeLessThan(20_000);
  });

  it("what is quoted in a message is cut", () => {
    const [document] = decode(SERVICE.replace("name: a", `name: ${"A".repeat(1_000_000)}`));
    expect(document?.ok === false && document.diagnostics[0]?.message.length).toBeLessThan(600);
  });

  it.each([
    ["a header value of megabytes", `headers: {request: {set: {a: "${"x".repeat(3_000_000)}"}}}`, true],
    ["one of operators", `headers: {request: {set: {a: "${"%%".repeat(200_000)}"}}}`, true],
    ["one of broken operators", `headers: {request: {set: {a: "${"%REQ(".repeat(100_000)}"}}}`, false],
    ["a pattern that would grow", `match: [{uri: {regex: "${"a{1000}".repeat(140)}"}}]`, false],
    ["a pattern that would grow by nesting", `match: [{uri: {regex: "(${"a".repeat(900)}){1000}"}}]`, false],
    ["a pattern with honest counts", `match: [{uri: {regex: "/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"}}]`, true],
  ])("%s is judged soon", (_, rule, accepted) => {
    const text = `apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec: {hosts: [a], http: [{route: [{destination: {host: b}}], ${rule}}]}\n`;
    const started = performance.now();
    expect(decode(text)[0]?.ok).toBe(accepted);
    expect(performance.now() - started).toBeLessThan(20_000);
  });

  it("reports at most 100 findings for one object", () => {
    const ports = Array.from({ length: 300 }, () => "{port: 0}").join(", ");
    expect(places(SERVICE.replace("{port: 1}", ports))).toHaveLength(limits.findings);
  });

  it("bounds parsed JSON too", () => {
    let deep: unknown = 1;
    for (let i = 0; i < 100; i++) deep = { deep };
    const origin = { file: "f", line: 1, column: 1 };
    expect(decodeObject(deep, origin)).toMatchObject({ diagnostics: [{ code: "LTN1002" }] });
    const round: Record<string, unknown> = {};
    round.round = round;
    expect(decodeObject(round, origin)).toMatchObject({ diagnostics: [{ code: "LTN1002" }] });
  });
});

describe("names that mean something to JavaScript", () => {
  it.each([
    ["in YAML", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, __proto__: {labels: {x: y}}}\n"],
    ["in a map", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {__proto__: x}\n"],
    [
      "by merging",
      "x: &x {__proto__: {polluted: 1}}\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {<<: *x}\n",
    ],
  ])("__proto__ %s is refused", (_, text) => {
    expect(decode(text)[0]?.ok).toBe(false);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it("__proto__ in parsed JSON is refused", () => {
    const value: unknown = JSON.parse(
      '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"__proto__":"x"}}',
    );
    expect(decodeObject(value, { file: "f", line: 1, column: 1 }).ok).toBe(false);
  });

  it("__proto__ is refused where nobody looks", () => {
    const value: unknown = JSON.parse(
      '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"containers":[{"name":"c","resources":{"__proto__":{"x":1}}}]}}',
    );
    expect(decodeObject(value, { file: "f", line: 1, column: 1 }).ok).toBe(false);
  });

  it("constructor and toString are names like any other", () => {
    const text =
      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {constructor: c, toString: t, hasOwnProperty: h}\n";
    expect(objectsOf(text)[0]).toHaveProperty("data", { constructor: "c", toString: "t", hasOwnProperty: "h" });
    const [unknown] = decode("apiVersion: v1\nkind: constructor\nmetadata: {name: a}\n");
    expect(unknown?.ok).toBe(false);
  });
});
