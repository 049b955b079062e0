import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, dirname, isAbsolute, join } from "node:path";
import { type Clock, messageOf, systemClock } from "@lateen/kernel";
import { parse } from "yaml";
import { noAccess } from "../errors.ts";
import { type ClusterAccess, RereadFile } from "./access.ts";
import { type Fields, isFields } from "./objects.ts";

export interface KubeconfigOptions {
  /** Default: `current-context`. */
  readonly context?: string;
  readonly clock?: Clock;
}

/** Files named by a variable as `KUBECONFIG` has them; `~/.kube/config` when it is not set. */
export function kubeconfigFiles(variable: string | undefined): readonly string[] {
  const named = (variable ?? "").split(delimiter).filter((file) => file !== "");
  return named.length > 0 ? named : [join(homedir(), ".kube", "config")];
}

/**
 * Access as a kubeconfig describes it: client certificate, token (file), or name and password. Of several files the first that says
 * something counts, as with kubectl.
 * @throws LTN6505 when a file cannot be read or something in it is not supported; login programs (`exec`) are not run.
 */
export async function kubeconfigAccess(
  files: readonly string[],
  options: KubeconfigOptions = {},
): Promise<ClusterAccess> {
  const merged = await readAll(files);
  const contextName = options.context ?? merged.currentContext;
  if (contextName === "") throw noAccess("the kubeconfig has no current-context", "name a context");
  const context = merged.contexts.get(contextName);
  if (context === undefined) {
    throw noAccess(
      `the kubeconfig has no context "${contextName}"`,
      `it has ${[...merged.contexts.keys()].join(", ") || "none"}`,
    );
  }
  const cluster = merged.clusters.get(text(context.value, "cluster"));
  if (cluster === undefined) throw noAccess(`context "${contextName}" names no cluster`, "mend the kubeconfig");
  const user = merged.users.get(text(context.value, "user")) ?? { value: {}, dir: "." };
  const server = text(cluster.value, "server");
  if (!/^https?:\/\//.test(server)) {
    throw noAccess(`cluster of context "${contextName}" has no server URL`, "mend the kubeconfig");
  }
  if (cluster.value["proxy-url"]) {
    throw noAccess("the kubeconfig wants a proxy (proxy-url), which is not supported", "reach the API server directly");
  }
  return accessOf(server, cluster, user, text(context.value, "namespace") || "default", options.clock ?? systemClock());
}

interface Entry {
  readonly value: Fields;
  /** What relative paths start from. */
  readonly dir: string;
}

interface Merged {
  readonly currentContext: string;
  readonly clusters: ReadonlyMap<string, Entry>;
  readonly users: ReadonlyMap<string, Entry>;
  readonly contexts: ReadonlyMap<string, Entry>;
}

async function readAll(files: readonly string[]): Promise<Merged> {
  const clusters = new Map<string, Entry>();
  const users = new Map<string, Entry>();
  const contexts = new Map<string, Entry>();
  let currentContext = "";
  let found = 0;
  for (const file of files) {
    let config: unknown;
    try {
      config = parse(await readFile(file, "utf8"));
    } catch (error) {
      // Several files may be named, of which some are there.
      if (files.length > 1 && isMissing(error)) continue;
      throw noAccess(`the kubeconfig ${file} cannot be read: ${messageOf(error)}`, "check the path and its YAML");
    }
    found++;
    if (!isFields(config)) throw noAccess(`the kubeconfig ${file} is not a map`, "check its YAML");
    if (currentContext === "") currentContext = text(config, "current-context");
    collect(clusters, config.clusters, "cluster", dirname(file));
    collect(users, config.users, "user", dirname(file));
    collect(contexts, config.contexts, "context", dirname(file));
  }
  if (found === 0) throw noAccess(`none of the kubeconfigs ${files.join(", ")} exists`, "check KUBECONFIG");
  return { currentContext, clusters, users, contexts };
}

function collect(into: Map<string, Entry>, list: unknown, field: string, dir: string): void {
  for (const item of Array.isArray(list) ? (list as readonly unknown[]) : []) {
    if (!isFields(item) || typeof item.name !== "string" || into.has(item.name)) continue;
    const value = item[field];
    into.set(item.name, { value: isFields(value) ? value : {}, dir });
  }
}

async function accessOf(
  server: string,
  cluster: Entry,
  user: Entry,
  namespace: string,
  clock: Clock,
): Promise<ClusterAccess> {
  for (const [field, what] of [
    ["exec", "a login program (exec)"],
    ["auth-provider", "an auth-provider"],
    ["as", "impersonation (as)"],
  ] as const) {
    if (user.value[field] !== undefined) {
      throw noAccess(
        `the kubeconfig's user needs ${what}, which is not supported`,
        "use a client certificate or a token, such as that of `kubectl create token`",
      );
    }
  }
  const ca = material(cluster, "certificate-authority", clock);
  const cert = material(user, "client-certificate", clock);
  const key = material(user, "client-key", clock);
  const token = tokenOf(user, clock);
  const password = text(user.value, "password");
  const servername = text(cluster.value, "tls-server-name");
  const files = [ca, cert, key, token].filter((one) => one !== undefined);
  try {
    await Promise.all(files.map((file) => file.text()));
  } catch (error) {
    throw noAccess(`a file of the kubeconfig cannot be read: ${messageOf(error)}`, "check its paths");
  }
  return {
    server: server.replace(/\/+$/, ""),
    namespace,
    async tls() {
      return {
        ...(ca === undefined ? {} : { ca: await ca.text() }),
        ...(cert === undefined ? {} : { cert: await cert.text() }),
        ...(key === undefined ? {} : { key: await key.text() }),
        ...(servername === "" ? {} : { servername }),
        verify: cluster.value["insecure-skip-tls-verify"] !== true,
      };
    },
    async authorization() {
      if (token !== undefined) return `Bearer ${await token.text()}`;
      if (password === "") return undefined;
      return `Basic ${Buffer.from(`${text(user.value, "username")}:${password}`).toString("base64")}`;
    },
    forget: () => {
      for (const file of files) file.forget();
    },
  };
}

/** PEM that is in the file itself (`NAME-data`, base64) or in one that it names (`NAME`). */
function material({ value, dir }: Entry, name: string, clock: Clock): RereadFile | undefined {
  const inline = text(value, `${name}-data`);
  if (inline !== "") return new RereadFile(clock, async () => Buffer.from(inline, "base64").toString("utf8"));
  const path = text(value, name);
  return path === "" ? undefined : new RereadFile(clock, () => readFile(from(dir, path), "utf8"));
}

function tokenOf({ value, dir }: Entry, clock: Clock): RereadFile | undefined {
  const path = text(value, "tokenFile");
  if (path !== "") return new RereadFile(clock, async () => (await readFile(from(dir, path), "utf8")).trim());
  const token = text(value, "token");
  return token === "" ? undefined : new RereadFile(clock, async () => token);
}

function from(dir: string, path: string): string {
  return isAbsolute(path) ? path : join(dir, path);
}

function text(value: Fields, name: string): string {
  const found = value[name];
  return typeof found === "string" ? found : "";
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
