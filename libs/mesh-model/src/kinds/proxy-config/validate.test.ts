import { expect, it } from "vitest";
import { documentOf, findingsOf } from "../../testing/findings.ts";

it.each([
  ["a ProxyConfig for all", "{concurrency: 0, environmentVariables: {A_B: x}}", []],
  ["one for some", "{selector: {matchLabels: {app: a}}, concurrency: 2}", []],
  ["negative concurrency", "{concurrency: -1}", ["error spec.concurrency"]],
  ["a variable that is none", "{environmentVariables: {'A B': x}}", ["error spec.environmentVariables"]],
  ["an image", "{image: {imageType: debug}}", ["warning spec.image"]],
  ["an image that is none", "{image: {imageType: 'Big!'}}", ["error spec.image.imageType"]],
])("%s", (_title, spec, expected) => {
  const found = findingsOf(documentOf("ProxyConfig", spec));
  expect(found.map((text, index) => text.slice(0, expected[index]?.length ?? 0))).toEqual(expected);
});
