import { chmodSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { TestMachine } from "../testing/cli.ts";

/** A kubectl that writes down what it is asked and answers from a file. */
const FAKE = `#!${process.execPath}
const fs = require("node:fs");
const path = require("node:path");
const args = process.argv.slice(2);
const input = args.includes("-") ? fs.readFileSync(0, "utf8") : "";
fs.appendFileSync(path.join(__dirname, "calls.jsonl"), JSON.stringify({ args, input }) + "\\n");
const answers = JSON.parse(fs.readFileSync(path.join(__dirname, "answers.json"), "utf8"));
const found = answers.find(({ when }) => args.join(" ").includes(when));
if (found?.error) process.stderr.write(found.error);
process.stdout.write(typeof found?.out === "string" ? found.out : JSON.stringify(found?.out ?? { items: [] }));
process.exit(found?.error ? 1 : 0);
`;

interface Call {
  readonly args: readonly string[];
  readonly input: string;
}
interface Item {
  readonly kind: string;
  readonly metadata: { readonly name: string };
}

let machine: TestMachine;
let env: Record<string, string>;
beforeEach(() => {
  machine = new TestMachine();
  machine.file("kubectl.cjs", FAKE);
  const program = join(machine.folder, "kubectl.cjs");
  chmodSync(program, 0o755);
  env = { LATEEN_KUBECTL: program };
});
afterEach(() => machine.close());

const VERSION = { when: "version -o json", out: { serverVersion: { minor: "34+", gitVersion: "v1.34.2" } } };
function answers(...list: readonly { when: string; out?: unknown; error?: string }[]): void {
  machine.file("answers.json", JSON.stringify([...list, VERSION]));
}
function calls(): readonly Call[] {
  const text = readFileSync(join(machine.folder, "calls.jsonl"), "utf8");
  return text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Call);
}
const items = ({ input }: Call): readonly Item[] => (JSON.parse(input) as { items: Item[] }).items;
const called = (verb: string) => calls().filter(({ args }) => args.includes(verb));

const leftOver = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "istio-egressgateway", namespace: "istio-system", labels: {} },
};
const rule = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "sidecars.networking.istio.io" },
};

describe("manifest generate", { timeout: 120_000 }, () => {
  it("prints what would be applied, and asks no cluster", async () => {
    const { code, out } = await machine.run(
      ["manifest", "generate", "--set", "profile=demo", "--set", "hub=h.example/x"],
      { env },
    );
    expect(code).toBe(0);
    const objects = parseAllDocuments(out).map((document) => document.toJS() as Item);
    expect(objects.filter(({ kind }) => kind === "Deployment").map(({ metadata }) => metadata.name)).toContain(
      "istio-egressgateway",
    );
    expect(out).toContain("image: h.example/x/pilot:");
    expect(() => calls()).toThrow();
  });

  it("prints a List as JSON", async () => {
    const { out } = await machine.run(["manifest", "generate", "-o", "json"]);
    expect(JSON.parse(out)).toMatchObject({
      kind: "List",
      items: expect.arrayContaining([expect.objectContaining({ kind: "Namespace" })]),
    });
  });

  it("refuses settings that are none with 64", async () => {
    const { code, err } = await machine.run(["manifest", "generate", "--set", "profil=demo"]);
    expect([code, err]).toEqual([64, expect.stringContaining("did you mean profile?")]);
  });
});

describe("install", { timeout: 120_000 }, () => {
  it("says what it would do without -y", async () => {
    const { code, err } = await machine.run(["install"], { env });
    expect(code).toBe(64);
    expect(err).toContain("this would install profile default, images lateen/*:");
    expect(() => calls()).toThrow();
  });

  it("applies definitions first, then the rest, removes what is of before, and waits", async () => {
    answers({ when: "get ", out: { items: [leftOver, rule] } });
    const { code, out } = await machine.run(["install", "-y", "--context", "east", "--kubeconfig", "k.yaml"], { env });
    expect([code, out]).toEqual([0, "installed: profile default\n"]);
    for (const { args } of calls()) expect(args.slice(0, 2)).toEqual(["--kubeconfig=k.yaml", "--context=east"]);
    const [first, second] = called("apply");
    const kinds = new Set(items(first as Call).map(({ kind }) => kind));
    expect(kinds).toEqual(new Set(["Namespace", "CustomResourceDefinition", "PriorityClass"]));
    expect(items(second as Call).map(({ kind }) => kind)).toContain("Deployment");
    const order = calls()
      .map(({ args }) => args.find((arg) => ["apply", "wait", "delete", "rollout"].includes(arg)))
      .filter((verb) => verb !== undefined);
    expect(order.slice(0, 4)).toEqual(["apply", "wait", "apply", "delete"]);
    expect(called("delete").map(items)).toEqual([
      [
        {
          apiVersion: "apps/v1",
          kind: "Deployment",
          metadata: { name: "istio-egressgateway", namespace: "istio-system" },
        },
      ],
    ]);
    expect(called("rollout").map(({ args }) => args.find((arg) => arg.startsWith("deployment/")))).toContain(
      "deployment/istio-pilot",
    );
  });

  it("does not wait when told so", async () => {
    answers({ when: "get ", out: { items: [] } });
    expect((await machine.run(["install", "-y", "--no-wait"], { env })).code).toBe(0);
    expect(called("rollout")).toEqual([]);
  });

  it("ends with 69 when the cluster refuses, is too old, or there is no kubectl", async () => {
    answers({ when: "apply", error: "forbidden: no" });
    expect(await machine.run(["install", "-y"], { env })).toMatchObject({
      code: 69,
      err: expect.stringContaining("forbidden: no"),
    });
    machine.file(
      "answers.json",
      JSON.stringify([{ when: "version", out: { serverVersion: { minor: "27", gitVersion: "v1.27.1" } } }]),
    );
    expect(await machine.run(["install", "-y"], { env })).toMatchObject({
      code: 69,
      err: expect.stringContaining("1.30 or newer is needed"),
    });
    const without = { LATEEN_KUBECTL: join(machine.folder, "nowhere") };
    expect(await machine.run(["install", "-y"], { env: without })).toMatchObject({
      code: 69,
      err: expect.stringContaining("LATEEN_KUBECTL"),
    });
  });
});

describe("uninstall", { timeout: 120_000 }, () => {
  it("leaves everybody's rules, unless they are to be purged", async () => {
    answers({ when: "get ", out: { items: [rule, leftOver] } });
    expect(await machine.run(["uninstall", "-y"], { env })).toMatchObject({ code: 0, out: "removed: 1 objects\n" });
    expect(
      called("delete")
        .flatMap(items)
        .map(({ kind }) => kind),
    ).toEqual(["Deployment"]);
    expect(await machine.run(["uninstall", "--purge", "-y"], { env })).toMatchObject({ out: "removed: 2 objects\n" });
  });

  it("does nothing without -y, or when there is nothing", async () => {
    answers({ when: "get ", out: { items: [] } });
    expect((await machine.run(["uninstall", "--purge"], { env })).code).toBe(64);
    expect(await machine.run(["uninstall", "-y"], { env })).toMatchObject({ code: 0, out: "nothing was installed\n" });
  });
});

const ofRevision = (name: string, revision?: string, kind = "Deployment") => ({
  ...leftOver,
  kind,
  metadata: {
    name,
    namespace: "istio-system",
    labels: revision === undefined ? {} : { "istio.io/rev": revision },
  },
});
const priority = { apiVersion: "scheduling.k8s.io/v1", kind: "PriorityClass", metadata: { name: "lateen-gateway" } };
const tagged = (tag: string, revision: string) => ({
  apiVersion: "admissionregistration.k8s.io/v1",
  kind: "MutatingWebhookConfiguration",
  metadata: { name: `istio-revision-tag-${tag}`, labels: { "istio.io/rev": revision, "istio.io/tag": tag } },
  webhooks: [],
});
const removed = () =>
  called("delete")
    .flatMap(items)
    .map(({ metadata }) => metadata.name);

describe("a revision beside another", { timeout: 120_000 }, () => {
  it("is installed under names of its own, and removes only what it had before", async () => {
    const old = ofRevision("istio-old-canary", "canary");
    const there = [leftOver, ofRevision("istiod", "default"), old, tagged("prod", "canary"), priority];
    answers({ when: "get ", out: { items: there } });
    const { code, out } = await machine.run(["install", "--set", "revision=canary", "-y", "--no-wait"], { env });
    expect([code, out]).toEqual([0, "installed: revision canary, profile default\n"]);
    expect(removed()).toEqual(["istio-old-canary"]);
    const deployments = called("apply")
      .flatMap(items)
      .filter(({ kind }) => kind === "Deployment");
    expect(deployments.map(({ metadata }) => metadata.name)).toContain("istio-pilot-canary");
    expect(deployments.filter(({ metadata }) => !metadata.name.endsWith("-canary"))).toEqual([]);
  });

  it("does not lose anything when the default one is changed, which may be from before there were revisions", async () => {
    answers({
      when: "get ",
      out: { items: [leftOver, ofRevision("istiod-canary", "canary"), tagged("a", "default")] },
    });
    expect((await machine.run(["install", "-y", "--no-wait"], { env })).code).toBe(0);
    expect(removed()).toEqual(["istio-egressgateway"]);
  });

  it("is taken out with its tags, and leaves what is shared until the last one goes", async () => {
    const there = [leftOver, ofRevision("istiod-canary", "canary"), tagged("prod", "canary"), priority, rule];
    answers({ when: "get ", out: { items: there } });
    const gone = await machine.run(["uninstall", "--revision", "canary", "-y"], { env });
    expect(gone).toMatchObject({ code: 0, out: "removed: 2 objects\n" });
    expect(removed()).toEqual(["istio-revision-tag-prod", "istiod-canary"]);
    answers({ when: "get ", out: { items: [ofRevision("istiod-canary", "canary"), priority, rule] } });
    const last = await machine.run(["uninstall", "--revision", "canary", "-y"], { env });
    expect(last).toMatchObject({ out: "removed: 2 objects\n" });
    expect(removed().slice(2)).toEqual(["istiod-canary", "lateen-gateway"]);
  });

  it("cannot be purged alone, and says when it is not there", async () => {
    answers({ when: "get ", out: { items: [leftOver] } });
    expect((await machine.run(["uninstall", "--revision", "a", "--purge", "-y"], { env })).code).toBe(64);
    expect(await machine.run(["uninstall", "--revision", "a", "-y"], { env })).toMatchObject({
      out: "there is no revision a\n",
    });
  });
});

describe("tag", { timeout: 120_000 }, () => {
  const webhookOf = (name: string, service: string) => ({
    ...tagged("x", "canary"),
    metadata: { name },
    webhooks: [{ clientConfig: { service: { name: service, namespace: "istio-system" }, caBundle: "Q0E=" } }],
  });
  const canary = {
    when: "io istio-sidecar-injector-canary ",
    out: webhookOf("istio-sidecar-injector-canary", "istiod-canary"),
  };
  const noTags = { when: "-l istio.io/tag", out: { items: [] } };
  const namespace = (name: string, labels: Record<string, string>) => ({
    kind: "Namespace",
    metadata: { name, labels },
  });
  const run = (...args: string[]) => machine.run(["tag", ...args], { env });
  const applied = () => called("apply").flatMap(items) as (Item & Record<string, unknown>)[];

  it("stands for a revision: its webhook asks that injector, which may keep the bundle of this tag alone", async () => {
    answers(canary, noTags);
    expect(await run("set", "prod", "--revision", "canary")).toMatchObject({
      code: 0,
      out: "tag prod stands for revision canary\n",
    });
    const [webhook, role, binding] = applied();
    expect(webhook).toMatchObject({
      metadata: { name: "istio-revision-tag-prod", labels: { "istio.io/rev": "canary", "istio.io/tag": "prod" } },
    });
    const webhooks = webhook?.webhooks as { clientConfig: unknown; namespaceSelector: unknown }[];
    expect(webhooks).toHaveLength(2);
    for (const { clientConfig } of webhooks)
      expect(clientConfig).toMatchObject({ service: { name: "istiod-canary", path: "/inject" }, caBundle: "Q0E=" });
    expect(JSON.stringify(webhooks[0]?.namespaceSelector)).toContain(
      '"istio.io/rev","operator":"In","values":["prod"]',
    );
    expect(role).toMatchObject({ rules: [{ resourceNames: ["istio-revision-tag-prod"], verbs: ["get", "patch"] }] });
    expect(binding).toMatchObject({ subjects: [{ name: "istio-pilot-service-account-canary" }] });
  });

  it("`default` takes the place of the default revision's webhook, and gives it back", async () => {
    const base = {
      when: "io istio-sidecar-injector ",
      out: webhookOf("istio-sidecar-injector", "istio-sidecar-injector"),
    };
    answers(canary, base, noTags);
    expect((await run("set", "default", "--revision", "canary")).code).toBe(0);
    const [own, , , before] = applied() as unknown as { webhooks: { namespaceSelector: { matchLabels?: object } }[] }[];
    expect(own?.webhooks).toHaveLength(4);
    expect(before?.webhooks.map(({ namespaceSelector }) => namespaceSelector.matchLabels)).toEqual(
      Array(4).fill({ "istio.io/deactivated": "never-match" }),
    );
    answers(
      base,
      { when: "-l istio.io/tag", out: { items: [tagged("default", "canary")] } },
      { when: "get namespaces" },
    );
    expect((await run("remove", "default")).code).toBe(0);
    expect(JSON.stringify(applied().at(-1))).not.toContain("never-match");
    expect(removed()).toEqual([
      "istio-revision-tag-default",
      "lateen-revision-tag-default",
      "lateen-revision-tag-default",
    ]);
  });

  it("`default` stays in force when the default revision is installed anew", async () => {
    answers(
      { when: "io istio-revision-tag-default ", out: tagged("default", "canary") },
      { when: "get ", out: { items: [] } },
    );
    expect((await machine.run(["install", "-y", "--no-wait"], { env })).code).toBe(0);

    expect(
      applied()
        .filter(({ kind }) => kind === "MutatingWebhookConfiguration")
        .map((each) => JSON.stringify(each)),
    ).toEqual([expect.stringContaining("never-match")]);
  });

  it("is moved only with --overwrite, is never named as a revision, and needs one that is installed", async () => {
    const prod = { when: "-l istio.io/tag", out: { items: [tagged("prod", "default")] } };
    answers(canary, prod, { when: "get ", out: { items: [ofRevision("istiod-a", "a")] } });
    expect(await run("set", "prod", "--revision", "canary")).toMatchObject({
      code: 64,
      err: expect.stringContaining("--overwrite"),
    });
    expect((await run("set", "prod", "--revision", "canary", "--overwrite")).code).toBe(0);
    expect(await run("set", "a", "--revision", "canary")).toMatchObject({ code: 64 });
    answers({ when: "--ignore-not-found", out: "" });
    expect(await run("generate", "prod", "--revision", "other")).toMatchObject({
      err: expect.stringContaining("revision other is not installed"),
    });
  });

  it("is listed with the namespaces that use it, and not removed from under them", async () => {
    answers(
      { when: "-l istio.io/tag", out: { items: [tagged("prod", "canary"), tagged("default", "canary")] } },
      {
        when: "get namespaces",
        out: {
          items: [
            namespace("shop", { "istio.io/rev": "prod" }),
            namespace("site", { "istio-injection": "enabled", "istio.io/rev": "prod" }),
            namespace("none", {}),
          ],
        },
      },
    );
    const { out } = await run("list", "-o", "json");
    expect(JSON.parse(out)).toEqual([
      { tag: "prod", revision: "canary", namespaces: ["shop"] },
      { tag: "default", revision: "canary", namespaces: ["site"] },
    ]);
    expect(await run("remove", "prod")).toMatchObject({ code: 64, err: expect.stringContaining("shop") });
    expect(await run("remove", "prod", "-y")).toMatchObject({ code: 0, out: "tag prod is gone\n" });
  });
});

describe("check", { timeout: 120_000 }, () => {
  const deployment = (available: number) => ({
    ...leftOver,
    spec: { replicas: 2 },
    status: { availableReplicas: available },
  });

  it("is well when the cluster is new enough, one may install, and replicas are available", async () => {
    answers({ when: "get ", out: { items: [deployment(2)] } });
    const { code, out } = await machine.run(["check", "-o", "json"], { env });
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      ok: true,
      checks: [{ check: "version" }, { check: "rights" }, { check: "istio-egressgateway" }],
    });
  });

  it("ends with 69 and says what is not", async () => {
    answers({ when: "get ", out: { items: [deployment(1)] } }, { when: "can-i create clusterroles", error: "no" });
    const { code, out } = await machine.run(["check"], { env });
    expect(code).toBe(69);
    expect(out).toContain("fail rights: you may not create clusterroles");
    expect(out).toContain("fail istio-egressgateway: 1 of 2 replicas available");
  });

  it("says that there is no cluster", async () => {
    answers({ when: "", error: "connection refused" });
    const { code, out } = await machine.run(["check"], { env });
    expect([code, out]).toEqual([69, expect.stringContaining("connection refused")]);
  });
});
