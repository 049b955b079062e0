import { labelsMatch } from "@lateen/mesh-model";
import type { Participant } from "@lateen/simulate";
import type { Cli } from "../cli.ts";
import type { DescribeOptions } from "../commands/describe.ts";
import { notFound } from "../errors.ts";
import { type OutputFormat, printResult } from "../output/format.ts";
import {
  destinationRulesFor,
  hostsOf,
  ofKind,
  peerMode,
  policiesFor,
  portsOf,
  type RuleFacts,
  servicesOf,
  virtualServicesFor,
} from "./applies.ts";
import { openWorld, type World, workloadNamed } from "./mesh-objects.ts";

/** Prints what applies to a pod. @throws LTN7504 when there is none of this name. */
export async function describePod(
  cli: Cli,
  name: string,
  options: DescribeOptions,
  format: OutputFormat,
): Promise<void> {
  const world = await openWorld(cli, options);
  const full = options.namespace === undefined ? name : `${name}.${options.namespace}`;
  const facts = podFacts(world, workloadNamed(world, full));
  await printResult(cli, format, facts, () => podText(facts));
}

function podFacts({ objects, rules, root }: World, { workload, proxy, principal }: Participant) {
  const services = servicesOf(objects, workload).map((service) => {
    const host = hostsOf(objects, service.metadata.namespace, service.metadata.name)[0] ?? "";
    return {
      host,
      ports: portsOf(service),
      rules: [
        ...virtualServicesFor(rules, host),
        ...destinationRulesFor(rules, host, workload.labels),
      ] satisfies readonly RuleFacts[],
    };
  });
  return {
    pod: workload.pod,
    namespace: workload.namespace,
    workload: workload.name,
    address: workload.address,
    ready: workload.ready,
    serviceAccount: workload.serviceAccount,
    identity: principal ?? "",
    labels: workload.labels,
    proxy,
    peerAuthentication: peerMode(objects, workload, root),
    policies: policiesFor(objects, workload, root),
    services,
  };
}

function podText(facts: ReturnType<typeof podFacts>): string {
  const { peerAuthentication: peer, services } = facts;
  const ports = Object.entries(peer.ports).map(([port, mode]) => `, ${mode} on ${port}`);
  const by = peer.policies.length === 0 ? "" : ` (PeerAuthentication ${peer.policies.join(", ")})`;
  const lines = [
    `Pod: ${facts.namespace}/${facts.pod} (${facts.workload}), ${facts.address}, ${facts.ready ? "ready" : "not ready"}`,
    `Proxy: ${facts.proxy}${facts.identity === "" ? "" : ` as ${facts.identity}`}`,
    `Accepts: mTLS ${peer.mode}${ports.join("")}${by}`,
    ...facts.policies.map(ruleText),
    ...services.flatMap(({ host, ports: list, rules }) => [
      `Service: ${host}`,
      ...list.map((port) => `  Port: ${port}`),
      ...rules.map((rule) => `  ${ruleText(rule)}`),
    ]),
  ];
  if (services.length === 0) lines.push("Service: none selects it");
  return `${lines.join("\n")}\n`;
}

function ruleText({ kind, name, note }: RuleFacts): string {
  return `${kind}: ${name}${note === "" ? "" : ` (${note})`}`;
}

/** Prints what applies to a service. @throws LTN7504 when there is none of this name. */
export async function describeService(
  cli: Cli,
  name: string,
  options: DescribeOptions,
  format: OutputFormat,
): Promise<void> {
  const world = await openWorld(cli, options);
  const [short = name, inName] = name.split(".");
  const namespace = options.namespace ?? inName ?? "default";
  const facts = serviceFacts(world, namespace, short);
  if (facts.hosts.length === 0) throw notFound(`no service ${short} in namespace ${namespace}`);
  await printResult(cli, format, facts, () => serviceText(facts));
}

function serviceFacts({ objects, rules, root, simulated }: World, namespace: string, name: string) {
  const hosts = hostsOf(objects, namespace, name);
  const service = ofKind(objects, "Service").find(
    ({ metadata }) => metadata.namespace === namespace && metadata.name === name,
  );
  const selector = service?.spec.selector ?? {};
  const workloads =
    Object.keys(selector).length === 0
      ? []
      : simulated.participants.filter(
          ({ workload }) => workload.namespace === namespace && labelsMatch(selector, workload.labels),
        );
  return {
    namespace,
    name,
    hosts,
    ports: service === undefined ? [] : portsOf(service),
    endpoints: workloads.map(({ workload, proxy }) => ({
      pod: workload.pod,
      address: workload.address,
      ready: workload.ready,
      proxy,
      mode: proxy === "none" ? "DISABLE" : peerMode(objects, workload, root).mode,
    })),
    rules: hosts.flatMap((host) => [
      ...virtualServicesFor(rules, host),
      ...destinationRulesFor(rules, host, undefined),
    ]),
  };
}

function serviceText(facts: ReturnType<typeof serviceFacts>): string {
  const lines = [
    `Service: ${facts.hosts.join(", ")}`,
    ...facts.ports.map((port) => `Port: ${port}`),
    ...facts.endpoints.map(
      ({ pod, address, ready, proxy, mode }) =>
        `Pod: ${pod}, ${address}, ${ready ? "ready" : "not ready"}, ${proxy === "none" ? "no proxy" : `mTLS ${mode}`}`,
    ),
    ...facts.rules.map(ruleText),
  ];
  return `${lines.join("\n")}\n`;
}
