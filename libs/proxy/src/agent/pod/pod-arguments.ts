import { err, ok, type Result } from "@lateen/kernel";

type Env = Readonly<Record<string, string | undefined>>;

/** Paths and addresses that hold in every injected pod. */
const IN_POD: Readonly<Record<string, string>> = {
  "run-dir": "/etc/istio/proxy",
  "token-file": "/var/run/secrets/tokens/istio-token",
  "root-cert-file": "/var/run/secrets/istio/root-cert.pem",
  "pod-info": "/etc/istio/pod",
};
const DISCOVERY = "istiod.istio-system.svc:15012";
/** Options of Istio's agent that change nothing here: one process, whose log is always JSON. */
const WITHOUT_EFFECT = new Set(["proxyComponentLogLevel", "log_as_json", "serviceCluster", "stsPort", "log_caller"]);
const OBEYED = new Set(["domain", "proxyLogLevel", "log_output_level", "concurrency"]);
const MOST_THREADS = 64;

/**
 * The options of this proxy for what an injected pod starts it with: `proxy sidecar|router --domain …`, and variables. What the variables of
 * this program (`LATEEN_…`) say goes before. Istio's names, so that one pod can be run with either proxy.
 * @param argv after `proxy`.
 * @param processors what `concurrency: 0` stands for.
 */
export function podArguments(
  argv: readonly string[],
  env: Env,
  processors: number,
): Result<readonly string[], readonly string[]> {
  const problems: string[] = [];
  const [role = "sidecar", ...rest] = argv[0]?.startsWith("-") === false ? argv : ["sidecar", ...argv];
  if (role !== "sidecar" && role !== "router") problems.push(`proxy ${role}: the role is sidecar or router`);
  const given = scan(rest, problems);
  const config = proxyConfig(env, problems);
  const discovery = text(config.discoveryAddress) ?? DISCOVERY;
  const isIpv6 = env.INSTANCE_IP?.includes(":") === true;
  const options: Readonly<Record<string, string | undefined>> = {
    role,
    ...IN_POD,
    "discovery-address": discovery,
    "server-name": hostOf(discovery),
    "ca-server-name": env.CA_ADDR ? hostOf(env.CA_ADDR) : undefined,
    "status-address": isIpv6 ? "::" : "0.0.0.0",
    "status-port": port(config.statusPort),
    "admin-port": port(config.proxyAdminPort),
    "drain-time": text(config.terminationDrainDuration),
    "drain-duration": text(config.drainDuration),
    concurrency: threads(given.get("concurrency") ?? config.concurrency, processors),
    "cluster-domain": domainOf(given.get("domain"), env.POD_NAMESPACE),
    "log-level": logLevel(given.get("proxyLogLevel"), given.get("log_output_level")),
  };
  if (problems.length > 0) return err(problems);
  return ok(
    Object.entries(options).flatMap(([name, value]) =>
      value === undefined || isSet(env, name) ? [] : [`--${name}=${value}`],
    ),
  );
}

function isSet(env: Env, name: string): boolean {
  const value = env[`LATEEN_${name.replaceAll("-", "_").toUpperCase()}`];
  return value !== undefined && value !== "";
}

function scan(argv: readonly string[], problems: string[]): ReadonlyMap<string, string> {
  const given = new Map<string, string>();
  for (let at = 0; at < argv.length; at++) {
    const [, name = "", inline] = /^--?([^=]+)(?:=(.*))?$/s.exec(argv[at] ?? "") ?? [];
    const isSwitch = name === "log_as_json" || name === "log_caller";
    const value = inline ?? (isSwitch ? "true" : argv[++at]);
    if (OBEYED.has(name) && value !== undefined) given.set(name, value);
    else if (!WITHOUT_EFFECT.has(name)) problems.push(`proxy: option ${argv[at] ?? ""} is not known`);
  }
  return given;
}

function proxyConfig(env: Env, problems: string[]): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(env.PROXY_CONFIG || "{}");
    if (typeof value === "object" && value !== null) return { ...value };
  } catch {
    // Said below.
  }
  problems.push("PROXY_CONFIG: not a JSON object");
  return {};
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function port(value: unknown): string | undefined {
  return typeof value === "number" && value > 0 ? String(value) : undefined;
}

function hostOf(address: string): string {
  return address.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
}

function threads(value: unknown, processors: number): string | undefined {
  const count = value === undefined ? Number.NaN : Number(value);
  if (!Number.isInteger(count) || count < 0) return undefined;
  return String(Math.min(MOST_THREADS, count === 0 ? processors : count));
}

/** `shop.svc.example.test` → `example.test`. */
function domainOf(domain: string | undefined, namespace: string | undefined): string | undefined {
  const prefix = `${namespace}.svc.`;
  return domain?.startsWith(prefix) ? domain.slice(prefix.length) : undefined;
}

const LEVELS = ["debug", "info", "warn", "error", "silent"] as const;

/** There is one log here: the more talkative of the proxy's level and the agent's default one. */
function logLevel(proxy: string | undefined, agent: string | undefined): string | undefined {
  const ranks = [proxy, ...(agent ?? "").split(",").filter((scope) => !/^(?!default:).+:/.test(scope))]
    .map((each) => each?.replace(/^default:/, ""))
    .flatMap((each) => {
      const level = each === undefined ? undefined : LEVEL_NAMES[each];
      return level === undefined ? [] : [LEVELS.indexOf(level)];
    });
  return ranks.length === 0 ? undefined : LEVELS[Math.min(...ranks)];
}

const LEVEL_NAMES: Readonly<Record<string, (typeof LEVELS)[number]>> = {
  trace: "debug",
  debug: "debug",
  info: "info",
  warning: "warn",
  warn: "warn",
  error: "error",
  fatal: "error",
  critical: "error",
  off: "silent",
  none: "silent",
};
