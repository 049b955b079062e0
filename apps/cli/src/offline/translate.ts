import { createCompiler } from "@lateen/compiler";
import { defaultMeshConfig, encodeObject, keyOf, kindDefinition, type Resource, resourceKey } from "@lateen/mesh-model";
import type { Cli } from "../cli.ts";
import type { SourceText } from "../mesh/documents.ts";
import { acceptedObjects } from "./objects.ts";

/** What was made of some files. */
export interface Translation {
  /** As users write them. */
  readonly objects: readonly Record<string, unknown>[];
  /** Some object was refused. */
  readonly invalid: boolean;
}

/**
 * Converts the Gateway API objects and Ingress of some files. Services and Secrets that they name and the files do not have are taken
 * for granted, with a word on stderr: they are in a cluster, mostly.
 */
export function translateSources(cli: Cli, sources: readonly SourceText[]): Translation {
  const { objects, invalid } = acceptedObjects(cli, sources);
  const compiler = createCompiler({ meshConfig: defaultMeshConfig(), clusterId: "Kubernetes" });
  const assumed = assumedObjects(objects);
  for (const { kind, metadata } of assumed) {
    cli.err(`note: ${kind} ${metadata.namespace}/${metadata.name} is not in the files; it is taken to exist\n`);
  }
  compiler.apply({ upserted: [...objects, ...assumed], removed: [] });
  for (const object of objects) {
    for (const message of complaints(compiler.status(keyOf(object)))) {
      const { kind, metadata } = object;
      cli.err(
        `warning: ${kindDefinition(kind).writtenAs ?? kind} ${metadata.namespace}/${metadata.name}: ${message}\n`,
      );
    }
  }
  return { objects: compiler.converted().map(encodeObject), invalid };
}

interface Port {
  readonly name?: string;
  readonly port: number;
}

/** Services and Secrets that routes name and nobody defines. */
function assumedObjects(objects: readonly Resource[]): readonly Resource[] {
  const known = new Set<string>(objects.map(keyOf));
  const ports = new Map<string, { readonly namespace: string; readonly name: string; readonly ports: Port[] }>();
  const secrets = new Map<string, Resource<"Secret">>();
  const service = (namespace: string, name: string, port?: Port) => {
    const key = resourceKey("Service", namespace, name);
    if (known.has(key)) return;
    const entry = ports.get(key) ?? { namespace, name, ports: [] };
    ports.set(key, entry);
    if (port !== undefined && !entry.ports.some((one) => one.port === port.port)) entry.ports.push(port);
  };
  const secret = (namespace: string, name: string) => {
    const key = resourceKey("Secret", namespace, name);
    if (!known.has(key)) secrets.set(key, assumedSecret(namespace, name));
  };
  for (const object of objects) {
    for (const found of servicesOf(object)) service(found.namespace, found.name, found.port);
    for (const found of secretsOf(object)) secret(found.namespace, found.name);
  }
  const services = [...ports.values()].map(({ namespace, name, ports }): Resource<"Service"> => {
    const metadata = { namespace, name };
    return { apiVersion: "v1", kind: "Service", metadata, spec: { ports } };
  });
  return [...services, ...secrets.values()];
}

interface Named {
  readonly namespace: string;
  readonly name: string;
  readonly port?: Port;
}
interface Reference {
  readonly group?: string;
  readonly kind?: string;
  readonly namespace?: string;
  readonly name: string;
  readonly port?: number;
}

function servicesOf(object: Resource): readonly Named[] {
  const home = object.metadata.namespace;
  const named = ({ group = "", kind = "Service", namespace = home, name, port }: Reference): readonly Named[] =>
    group !== "" || kind !== "Service" ? [] : [{ namespace, name, ...(port === undefined ? {} : { port: { port } }) }];
  switch (object.kind) {
    case "KubernetesGateway": {
      const hosts = (object.spec.addresses ?? []).flatMap(({ type, value }) =>
        type === "Hostname" && value ? [value] : [],
      );
      const listeners = (object.spec.listeners ?? []).map(({ port }) => ({ name: `p-${port}`, port }));
      const services = hosts.length === 0 ? [`${object.metadata.name}-istio`] : hosts;
      return services.flatMap((host) => {
        const [name = "", namespace = home] = host.split(".");
        return listeners.map((port) => ({ namespace, name, port }));
      });
    }
    case "HTTPRoute":
    case "GRPCRoute": {
      const rules: readonly HttpRule[] = object.spec.rules ?? [];
      const mirrors = rules.flatMap(({ filters = [] }) =>
        filters.flatMap((one) => one.requestMirror?.backendRef ?? []),
      );
      const backends = rules.flatMap(({ backendRefs = [] }) => backendRefs);
      return [...backends, ...mirrors, ...serviceParents(object.spec.parentRefs)].flatMap(named);
    }
    case "TLSRoute":
    case "TCPRoute": {
      const backends = (object.spec.rules ?? []).flatMap(({ backendRefs = [] }) => backendRefs);
      return [...backends, ...serviceParents(object.spec.parentRefs)].flatMap(named);
    }
    case "BackendTLSPolicy":
      return object.spec.targetRefs.flatMap(({ group, kind, name }) => named({ group, kind, name }));
    case "Ingress": {
      const { rules = [], defaultBackend } = object.spec ?? {};
      const paths = rules.flatMap(({ http }) => http?.paths.map(({ backend }) => backend) ?? []);
      return [...paths, ...(defaultBackend === undefined ? [] : [defaultBackend])].flatMap(({ service }, index) => {
        if (service === undefined) return [];
        // A port known by name only gets a number of its own.
        const { name, number = 50_000 + index } = service.port ?? {};
        const port = { port: number, ...(name === undefined ? {} : { name }) };
        return [{ namespace: home, name: service.name, port }];
      });
    }
    default:
      return [];
  }
}

interface HttpRule {
  readonly filters?: readonly { readonly requestMirror?: { readonly backendRef: Reference } }[];
  readonly backendRefs?: readonly Reference[];
}

/** Parents default to Gateways, unlike backends. */
function serviceParents(parents: readonly Reference[] | undefined): readonly Reference[] {
  return (parents ?? []).filter(({ group, kind }) => group === "" && kind === "Service");
}

function secretsOf(object: Resource): readonly Named[] {
  const home = object.metadata.namespace;
  if (object.kind === "KubernetesGateway") {
    const refs = (object.spec.listeners ?? []).flatMap(({ tls }) => tls?.certificateRefs ?? []);
    return refs.map(({ name, namespace = home }) => ({ namespace, name }));
  }
  if (object.kind !== "Ingress") return [];
  return (object.spec?.tls ?? []).flatMap(({ secretName }) =>
    secretName === undefined ? [] : [{ namespace: home, name: secretName }],
  );
}

function assumedSecret(namespace: string, name: string): Resource<"Secret"> {
  const pem = Buffer.from("-----BEGIN CERTIFICATE-----").toString("base64");
  const data = { "tls.crt": pem, "tls.key": pem };
  return { apiVersion: "v1", kind: "Secret", metadata: { namespace, name }, data };
}

interface Conditions {
  readonly conditions?: readonly {
    readonly type: string;
    readonly status: string;
    readonly reason: string;
    readonly message: string;
  }[];
}

/** Conditions that say no, as text; each once. */
function complaints(status: Readonly<Record<string, unknown>> | undefined): readonly string[] {
  const {
    parents = [],
    listeners = [],
    ancestors = [],
    ...own
  } = (status ?? {}) as Conditions & {
    readonly parents?: readonly Conditions[];
    readonly listeners?: readonly Conditions[];
    readonly ancestors?: readonly Conditions[];
  };
  const found = [own, ...parents, ...listeners, ...ancestors]
    .flatMap(({ conditions = [] }) => conditions)
    .filter(({ type, status: state }) => (type === "Conflicted" ? state === "True" : state !== "True"))
    .map(({ type, reason, message }) => `${type}: ${reason}${message === "" ? "" : `: ${message}`}`);
  return [...new Set(found)];
}
