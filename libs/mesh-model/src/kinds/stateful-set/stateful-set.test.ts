import { expect, it } from "vitest";
import { documentOf, findingsOf } from "../../testing/findings.ts";

const spec = (fields: string, labels = "{ app: db }") => `
serviceName: db
selector: { matchLabels: { app: db } }
template: { metadata: { labels: ${labels} }, spec: { containers: [{ name: db, image: "db:1" }] } }
${fields}`;

it.each([
  ["what Kubernetes' own examples say", spec("replicas: 3\npodManagementPolicy: Parallel"), []],
  [
    "a selector that its pods do not fit",
    spec("", "{ app: other }"),
    [expect.stringContaining("spec.selector.matchLabels.app: the template's labels do not carry app: db")],
  ],
  ["a policy that is none", spec("podManagementPolicy: Eager"), [expect.stringContaining("spec.podManagementPolicy")]],
  [
    "a Service whose name cannot be one",
    spec("").replace("serviceName: db", "serviceName: a.b"),
    [expect.stringContaining('spec.serviceName: "a.b" is no name of a Service')],
  ],
  ["a claim without a name", spec("volumeClaimTemplates: [{ metadata: {} }]"), [expect.stringContaining("name")]],
])("%s", (_, text, expected) => {
  expect(findingsOf(documentOf("StatefulSet", text))).toEqual(expected);
});
