import { describe, expect, it } from "vitest";
import { documentOf, findingsOf, objectsOf } from "../../testing/findings.ts";

describe("a Service", () => {
  it.each([
    [
      "is accepted",
      "{selector: {app: a}, ports: [{name: http, port: 80, targetPort: web}, {name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53}]}",
      undefined,
    ],
    ["is accepted headless without ports", "{clusterIP: None, selector: {app: a}}", undefined],
    ["is accepted as an alias", "{type: ExternalName, externalName: a.example.com}", undefined],
    ["needs a port", "{selector: {app: a}}", "error spec: at least one port is required"],
    [
      "needs names for several ports",
      "{ports: [{name: a, port: 1}, {port: 2}]}",
      "error spec.ports[1]: a service with several ports needs a name for each",
    ],
    [
      "has each port name once",
      "{ports: [{name: a, port: 1}, {name: a, port: 2}]}",
      'error spec.ports[1].name: port name "a" is used twice',
    ],
    [
      "has each port once",
      "{ports: [{name: a, port: 1}, {name: b, port: 1}]}",
      "error spec.ports[1].port: port TCP 1 is used twice",
    ],
    [
      "needs a legal target port",
      "{ports: [{port: 1, targetPort: 0}]}",
      "error spec.ports[0].targetPort: 0 is not a port number",
    ],
    [
      "needs a target port that proxies can hold",
      "{ports: [{port: 1, targetPort: '99999999999999999999'}]}",
      "error spec.ports[0].targetPort: 99999999999999999999 is not a port number",
    ],
    ["needs the host it is an alias of", "{type: ExternalName}", 'error spec: type ExternalName needs "externalName"'],
    [
      "needs an address that is one",
      "{clusterIP: none, ports: [{port: 1}]}",
      'error spec.clusterIP: "none" is not an IP address or "None"',
    ],
    [
      "needs external addresses that are some",
      "{ports: [{port: 1}], externalIPs: ['*']}",
      'error spec.externalIPs[0]: "*" is not an IP address',
    ],
    [
      "is told of a field it does not have",
      "{ports: [{port: 1}], selectr: {a: b}}",
      'error spec.selectr: unknown field "selectr"',
    ],
    [
      "keeps a field that Kubernetes may have by now",
      "{ports: [{port: 1}], somethingEntirelyNew: 1}",
      'warning spec.somethingEntirelyNew: unknown field "somethingEntirelyNew" is kept and not used',
    ],
  ])("%s", (_, spec, finding) => {
    const found = findingsOf(documentOf("Service", spec));
    expect(found).toEqual(finding === undefined ? [] : [expect.stringContaining(finding)]);
  });
});

const deployment = (pod: string, selector = "{matchLabels: {app: a}}") =>
  `{selector: ${selector}, template: {metadata: {labels: {app: a}}, spec: ${pod}}}`;
const CONTAINER = "{name: c, image: i}";

describe("a Deployment", () => {
  it.each([
    ["is accepted", deployment(`{containers: [${CONTAINER}]}`), undefined],
    [
      "selects its own pods",
      deployment(`{containers: [${CONTAINER}]}`, "{matchLabels: {app: b}}"),
      "error spec.selector.matchLabels.app: the template's labels do not carry app: b",
    ],
    [
      "selects by expressions that fit",
      deployment(`{containers: [${CONTAINER}]}`, "{matchExpressions: [{key: app, operator: NotIn, values: [a]}]}"),
      "error spec.selector.matchExpressions[0]: the template's labels do not fit this expression",
    ],
    [
      "needs a selector",
      deployment(`{containers: [${CONTAINER}]}`, "{}"),
      "error spec.selector: a selector must not be empty",
    ],
    [
      "needs a container",
      deployment("{containers: []}"),
      "error spec.template.spec.containers: at least one container is required",
    ],
    [
      "has each container name once",
      deployment(`{containers: [${CONTAINER}, ${CONTAINER}]}`),
      'error spec.template.spec.containers[1].name: container name "c" is used twice',
    ],
    [
      "mounts volumes it has",
      deployment("{containers: [{name: c, image: i, volumeMounts: [{name: v, mountPath: /v}]}]}"),
      'error spec.template.spec.containers[0].volumeMounts[0].name: the pod has no volume "v"',
    ],
    [
      "gives a variable one value",
      deployment(
        "{containers: [{name: c, image: i, env: [{name: A, value: b, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]}]}",
      ),
      "error spec.template.spec.containers[0].env[0]: value and valueFrom exclude each other",
    ],
    [
      "quotes numbers in variables",
      deployment("{containers: [{name: c, image: i, env: [{name: A, value: 1}]}]}"),
      "error spec.template.spec.containers[0].env[0].value: must be a string, not the number 1",
    ],
    [
      "has no negative replicas",
      `{replicas: -1, ${deployment(`{containers: [${CONTAINER}]}`).slice(1)}`,
      "error spec.replicas: must be at least 0, not -1",
    ],
  ])("%s", (_, spec, finding) => {
    const found = findingsOf(documentOf("Deployment", spec));
    expect(found).toEqual(finding === undefined ? [] : [expect.stringContaining(finding)]);
  });
});

describe("a Secret", () => {
  const secret = (rest: string) => `apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n${rest}\n`;

  it("folds stringData into data", () => {
    const [object] = objectsOf(secret("data: {a: YQ==}\nstringData: {b: é}"));
    expect(object).toMatchObject({ data: { a: "YQ==", b: "w6k=" } });
    expect(object).not.toHaveProperty("stringData");
  });

  it("is refused when it is not base64, without telling the value", () => {
    const found = findingsOf(secret("data: {a: hunter2!}"));
    expect(found).toEqual(["error data.a: the value is not base64"]);
  });
});

describe("a LocalRuntime", () => {
  it.each([
    ["is accepted", '{images: [{match: "*/a:*", command: [node, a.js], env: {PORT: "80"}}]}', undefined],
    ["needs images", "{images: []}", "error spec.images: at least one image is required"],
    [
      "needs a command",
      "{images: [{match: a, command: []}]}",
      "error spec.images[0].command: command must not be empty",
    ],
    ["needs a pattern", '{images: [{match: "", command: [a]}]}', "error spec.images[0].match: match must not be empty"],
  ])("%s", (_, spec, finding) => {
    const found = findingsOf(documentOf("LocalRuntime", spec));
    expect(found).toEqual(finding === undefined ? [] : [expect.stringContaining(finding)]);
  });
});
