import type { Cli } from "../cli.ts";
import type { ProxyConfigKind, ProxyConfigOptions } from "../commands/proxy-config.ts";
import type { MeshClient } from "../mesh/client.ts";
import { type OutputFormat, printResult } from "../output/format.ts";
import { table } from "../output/table.ts";
import { at, type Dump, type Json, list, parseDump, text } from "./dump.ts";
import { clusterRow, endpointRows, listenerRows, routeRows, secretRows } from "./tables.ts";

export interface ProxyConfigRequest {
  readonly what: ProxyConfigKind;
  readonly workload: string;
  readonly options: ProxyConfigOptions;
  readonly format: OutputFormat;
}

/** Asks a proxy's admin port for its configuration and prints a part of it. */
export async function showProxyConfig(cli: Cli, client: MeshClient, request: ProxyConfigRequest): Promise<void> {
  const admin = `/pods/${encodeURIComponent(request.workload)}/admin`;
  if (request.what === "endpoint")
    return showEndpoints(cli, await client.get(`${admin}/clusters?format=json`), request);
  const answer = await client.get<unknown>(`${admin}/config_dump?include_eds`);
  const dump = parseDump(answer);
  switch (request.what) {
    case "all":
      return printResult(cli, request.format, answer, () =>
        [clusters(dump, {}), listeners(dump, {}), routes(dump, {}), secrets(dump)]
          .map((part) => part.text())
          .join("\n"),
      );
    case "bootstrap":
      return printResult(
        cli,
        request.format === "text" ? "json" : request.format,
        { bootstrap: dump.bootstrap },
        () => "",
      );
    case "cluster":
      return print(clusters(dump, request.options));
    case "listener":
      return print(listeners(dump, request.options));
    case "route":
      return print(routes(dump, request.options));
    case "secret":
      return print(secrets(dump));
  }

  function print(part: Part): Promise<void> {
    return printResult(cli, request.format, part.value, part.text);
  }
}

/** The options that choose among resources. */
type Filters = Omit<ProxyConfigOptions, "output" | "mesh">;

/** Some resources: whole for programs, as a table for people. */
interface Part {
  readonly value: readonly Json[];
  readonly text: () => string;
}

function clusters(dump: Dump, { fqdn, port, subset, direction }: Filters): Part {
  const chosen = dump.clusters
    .map((value) => ({ value, row: clusterRow(value) }))
    .filter(({ row }) => fqdn === undefined || row.fqdn === fqdn || row.fqdn.startsWith(`${fqdn}.`))
    .filter(({ row }) => port === undefined || row.port === String(port))
    .filter(({ row }) => subset === undefined || row.subset === subset)
    .filter(({ row }) => direction === undefined || row.direction === direction)
    .sort((a, b) => (a.row.fqdn + a.row.port < b.row.fqdn + b.row.port ? -1 : 1));
  return {
    value: chosen.map(({ value }) => value),
    text: () =>
      table(
        ["SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"],
        chosen.map(({ row }) => [row.fqdn, row.port, row.subset, row.direction, row.type, row.rule]),
      ),
  };
}

function listeners(dump: Dump, { port, address, name }: Filters): Part {
  const chosen = dump.listeners.filter((listener) => {
    const socket = at(listener, "address", "socketAddress");
    return (
      (port === undefined || text(at(socket, "portValue")) === String(port)) &&
      (address === undefined || text(at(socket, "address")) === address) &&
      (name === undefined || text(listener.name) === name)
    );
  });
  return {
    value: chosen,
    text: () => table(["ADDRESSES", "PORT", "MATCH", "DESTINATION"], chosen.flatMap(listenerRows)),
  };
}

function routes(dump: Dump, { name }: Filters): Part {
  const chosen = dump.routes.filter((route) => name === undefined || text(route.name) === name);
  return {
    value: chosen,
    text: () => table(["NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE"], chosen.flatMap(routeRows)),
  };
}

function secrets(dump: Dump): Part {
  return {
    value: dump.secrets,
    text: () =>
      table(
        ["RESOURCE NAME", "TYPE", "STATUS", "VALID CERT", "SERIAL NUMBER", "NOT AFTER", "NOT BEFORE"],
        dump.secrets.flatMap((secret) => secretRows(secret, Date.now())),
      ),
  };
}

function showEndpoints(cli: Cli, answer: unknown, { options, format }: ProxyConfigRequest): Promise<void> {
  const rows = endpointRows(answer).filter(([endpoint = "", , , cluster = ""]) => {
    const [address, port] = [
      endpoint.slice(0, endpoint.lastIndexOf(":")),
      endpoint.slice(endpoint.lastIndexOf(":") + 1),
    ];
    return (
      (options.cluster === undefined || cluster === options.cluster) &&
      (options.address === undefined || address === options.address) &&
      (options.port === undefined || port === String(options.port))
    );
  });
  const value = list(at(answer, "cluster_statuses") ?? at(answer, "clusterStatuses")).filter((status) =>
    rows.some(([, , , cluster]) => cluster === text(at(status, "name"))),
  );
  return printResult(cli, format, value, () => table(["ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER"], rows));
}
