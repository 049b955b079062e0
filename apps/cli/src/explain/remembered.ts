import type { ConnectionHop, Hop } from "@lateen/simulate";
import type { Cli } from "../cli.ts";
import { meshUnavailable } from "../errors.ts";
import { MeshClient } from "../mesh/client.ts";
import { type OutputFormat, printResult } from "../output/format.ts";

/** What the proxies of a mesh remember. */
export interface Remembered {
  readonly hops: readonly Hop[];
  readonly connections: readonly ConnectionHop[];
  /** Proxies that could not be asked, as `namespace/pod: reason`. */
  readonly silent: readonly string[];
}

interface Answer {
  readonly requests: readonly Hop["record"][];
  /** Absent: a proxy of an older version. */
  readonly connections?: readonly ConnectionHop["record"][];
}

interface Proxy {
  readonly namespace: string;
  readonly pod: string;
}

/** Asks every proxy for the requests and connections whose id begins with `id`. @throws LTN7502 when none can be asked. */
export async function remembered(client: MeshClient, id: string, limit: number): Promise<Remembered> {
  const query = `?id=${encodeURIComponent(id)}&limit=${limit}`;
  const proxies = await proxiesOf(client);
  const answers = await Promise.all(
    proxies.map(async (proxy) => {
      try {
        const path = `/pods/${proxy.pod}.${proxy.namespace}/admin/requests${query}`;
        const { requests, connections = [] } = await client.get<Answer>(path);
        const name = nameOf(proxy);
        return {
          hops: requests.map((record) => ({ proxy: name, record })),
          connections: connections.map((record) => ({ proxy: name, record })),
        };
      } catch (error) {
        return `${nameOf(proxy)}: ${error instanceof Error ? error.message : String(error)}`;
      }
    }),
  );
  const silent = answers.filter((answer) => typeof answer === "string");
  if (silent.length === proxies.length && silent[0] !== undefined) throw meshUnavailable(silent[0]);
  const heard = answers.filter((answer) => typeof answer !== "string");
  return {
    hops: heard.flatMap(({ hops }) => hops),
    connections: heard.flatMap(({ connections }) => connections),
    silent,
  };
}

/** Has every proxy remember requests that go well, too. @throws LTN7502 when none can be told. */
export async function recordAll(cli: Cli, mesh: string, seconds: number, format: OutputFormat): Promise<void> {
  const client = new MeshClient(cli, mesh);
  const proxies = await proxiesOf(client);
  const path = (proxy: Proxy) => `/pods/${proxy.pod}.${proxy.namespace}/admin/requests/keep?seconds=${seconds}`;
  const told = await Promise.allSettled(proxies.map((proxy) => client.post(path(proxy), {})));
  const failed = told.flatMap((each, index) => {
    const proxy = proxies[index];
    return each.status === "fulfilled" || proxy === undefined
      ? []
      : [`${nameOf(proxy)}: ${String(each.reason.message)}`];
  });
  if (failed.length === proxies.length && failed[0] !== undefined) throw meshUnavailable(failed[0]);
  warn(cli, failed);
  const count = proxies.length - failed.length;
  await printResult(cli, format, { seconds, proxies: count }, () =>
    seconds === 0
      ? `${count} proxies remember only what fails\n`
      : `${count} proxies remember every request for ${seconds} s; list them with \`lateen explain\`\n`,
  );
}

/** Says which proxies are missing in an answer. */
export function warn(cli: Cli, silent: readonly string[]): void {
  for (const one of silent) cli.err(`warning: ${one}\n`);
}

async function proxiesOf(client: MeshClient): Promise<readonly Proxy[]> {
  const { workloads, gateways } = await client.status();
  return [...workloads, ...gateways];
}

function nameOf({ namespace, pod }: Proxy): string {
  return `${namespace}/${pod}`;
}
