import { describe, expect, it } from "vitest";
import { parseTextTemplate } from "./text.ts";

const data = {
  Values: { global: { hub: "h", list: ["a", "b"], none: "", n: 3, "with.dot": "d" } },
  ObjectMeta: { labels: { app: "web" }, annotations: { a: "1" } },
  Spec: { containers: [{ name: "app", ports: [{ containerPort: 80 }] }, { name: "two" }] },
};
const render = (text: string) => parseTextTemplate(text).render(data);

describe("templates", () => {
  it.each([
    ["{{ .Values.global.hub }}", "h"],
    ["{{ .ObjectMeta.Labels.app }}", "web"],
    ['{{ index .Values.global "with.dot" }}', "d"],
    ["{{ (index .Spec.Containers 1).Name }}", "two"],
    ["a {{- .Values.global.hub -}} b", "ahb"],
    ["{{/* nothing */}}x{{- /* nothing */ -}} y", "xy"],
    ["{{ if .Values.global.none }}yes{{ else if eq .Values.global.n 3 }}three{{ else }}no{{ end }}", "three"],
    ["{{ range .Values.global.list }}[{{ . }}]{{ end }}", "[a][b]"],
    ["{{ range $i, $c := .Spec.Containers }}{{ if $i }},{{ end }}{{ $c.Name }}{{ end }}", "app,two"],
    ["{{ range $k, $v := .ObjectMeta.Labels }}{{ $k }}={{ $v }}{{ end }}", "app=web"],
    ["{{ range .Values.nothing }}x{{ else }}none{{ end }}", "none"],
    ["{{ with .Values.global }}{{ .hub }}{{ $.ObjectMeta.Labels.app }}{{ end }}", "hweb"],
    ["{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ end }}{{ $x }}", "2"],
    ['{{ .Values.global.none | default "d" | quote }}', '"d"'],
    ['{{ printf "%s-%d%%" .Values.global.hub 4 }}', "h-4%"],
    ['{{ annotation .ObjectMeta `a` "x" }}{{ annotation .ObjectMeta `b` 7 }}', "17"],
    ["{{ not (and true (or false .Values.global.hub)) }}", "false"],
    ["x:{{ toYaml .Values.global.list | nindent 2 }}", "x:\n  - a\n  - b"],
    ["{{ toJSON .ObjectMeta.Labels }}", '{"app":"web"}'],
    ["{{ if isset .ObjectMeta.Annotations `a` }}set{{ end }}", "set"],
    ['{{ "}}" }}', "}}"],
    ["{{ len .Spec.Containers }}", "2"],
  ])("%s", (text, expected) => {
    expect(render(text)).toBe(expected);
  });

  it.each([
    ["{{ .a", "line 1: {{ is not closed"],
    ["\n{{ if .a }}", "a block is not ended"],
    ["{{ end }}", 'line 1: "end" without a block'],
    ["\n\n{{ 1 ? }}", "line 3"],
    ["{{ define `x` }}{{ end }}", '"define" cannot be used here'],
    ["{{ nosuch 1 }}", 'line 1: there is no function "nosuch"'],
    ["{{ if eq (nosuch .a) 1 }}{{ end }}", 'there is no function "nosuch"'],
    ["{{ range .a }}\n{{ else }}{{ .b | nosuch }}{{ end }}", 'line 2: there is no function "nosuch"'],
    ["{{ (1 }}", '")" is missing'],
  ])("%s cannot be parsed", (text, problem) => {
    expect(() => parseTextTemplate(text)).toThrow(problem);
  });

  it.each([
    ["{{ $x }}", "variable $x is not declared"],
    ["{{ index .Values.global.list 7 }}", "there is no item 7"],
    ["{{ fromJSON `{` }}", "fromJSON"],
    ["{{ .Values 1 }}", "only functions take arguments"],
  ])("%s cannot be rendered", (text, problem) => {
    expect(() => render(text)).toThrow(problem);
  });
});
