import { err, ok, type Result } from "@lateen/kernel";
import { type CaptureOptions, captureOptions, defaultCapture } from "./options.ts";

/** What a command line of `istio-iptables` asks for. */
export interface CaptureCommand {
  readonly options: CaptureOptions;
  /** Print the rules and leave the kernel alone. */
  readonly dryRun: boolean;
}

/** What the command line depends on besides itself. */
export interface CaptureSurroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Text of /etc/resolv.conf: queries to its servers are captured when DNS is. */
  readonly resolvConf: string;
}

const PREFIX = "traffic.sidecar.istio.io/";
/** Options that are lists, and the annotations that mean the same. */
const LISTS: Readonly<Record<string, string>> = {
  "-i": `${PREFIX}includeOutboundIPRanges`,
  "--istio-service-cidr": `${PREFIX}includeOutboundIPRanges`,
  "-x": `${PREFIX}excludeOutboundIPRanges`,
  "--istio-service-exclude-cidr": `${PREFIX}excludeOutboundIPRanges`,
  "-b": `${PREFIX}includeInboundPorts`,
  "--istio-inbound-ports": `${PREFIX}includeInboundPorts`,
  "-d": `${PREFIX}excludeInboundPorts`,
  "--istio-local-exclude-ports": `${PREFIX}excludeInboundPorts`,
  "-o": `${PREFIX}excludeOutboundPorts`,
  "--istio-local-outbound-ports-exclude": `${PREFIX}excludeOutboundPorts`,
  "-q": `${PREFIX}includeOutboundPorts`,
  "--istio-outbound-ports": `${PREFIX}includeOutboundPorts`,
  "-k": `${PREFIX}kubevirtInterfaces`,
  "--kube-virt-interfaces": `${PREFIX}kubevirtInterfaces`,
  "-c": `${PREFIX}excludeInterfaces`,
  "--istio-exclude-interfaces": `${PREFIX}excludeInterfaces`,
};
const NUMBERS: Readonly<Record<string, "outboundPort" | "inboundPort" | "proxyId" | "proxyGroup">> = {
  "-p": "outboundPort",
  "--envoy-port": "outboundPort",
  "-z": "inboundPort",
  "--inbound-capture-port": "inboundPort",
  "-u": "proxyId",
  "--proxy-uid": "proxyId",
  "-g": "proxyGroup",
  "--proxy-gid": "proxyGroup",
};
const SWITCHES = new Set(["--redirect-dns", "--capture-all-dns", "-n", "--dry-run"]);
/** Said by injectors; nothing here depends on them. */
const IGNORED = new Set(["--log_output_level", "--log_as_json", "--iptables-version"]);

/**
 * Reads arguments as Istio's `istio-iptables` has them (`-p 15001 -z 15006 -u 1337 -m REDIRECT -i '*' -x '' -b '*' -d 15090,15021,15020` …) and the
 * variables `ISTIO_META_DNS_CAPTURE`, `CAPTURE_ALL_DNS`.
 * @returns everything that is wrong with them.
 */
export function captureCommand(
  argv: readonly string[],
  surroundings: CaptureSurroundings,
): Result<CaptureCommand, readonly string[]> {
  const { lists, numbers, switches, problems } = scan(argv);
  const options = captureOptions(lists, { ...defaultCapture, ...numbers });
  if (!options.ok) problems.push(...options.error);
  if (problems.length > 0 || !options.ok) return err(problems);
  const { env, resolvConf } = surroundings;
  const isOn = (flag: string, variable: string): boolean => switches.has(flag) || env[variable] === "true";
  const dns = isOn("--redirect-dns", "ISTIO_META_DNS_CAPTURE")
    ? isOn("--capture-all-dns", "CAPTURE_ALL_DNS")
      ? "all"
      : { servers: serversOf(resolvConf) }
    : "off";
  return ok({ options: { ...options.value, dns }, dryRun: switches.has("-n") || switches.has("--dry-run") });
}

interface Scanned {
  readonly lists: Readonly<Record<string, string>>;
  readonly numbers: Partial<CaptureOptions>;
  readonly switches: ReadonlySet<string>;
  readonly problems: string[];
}

function scan(argv: readonly string[]): Scanned {
  const lists: Record<string, string> = {};
  const numbers: { proxyId?: number; proxyGroup?: number; outboundPort?: number; inboundPort?: number } = {};
  const switches = new Set<string>();
  const problems: string[] = [];
  for (let at = 0; at < argv.length; at++) {
    const [, name = "", inline] = /^(--?[^=]+)(?:=(.*))?$/s.exec(argv[at] ?? "") ?? [];
    if (SWITCHES.has(name)) {
      if (inline !== "false") switches.add(name);
      continue;
    }
    if (IGNORED.has(name) && inline !== undefined) continue;
    const value = inline ?? argv[++at];
    const list = Object.hasOwn(LISTS, name) ? LISTS[name] : undefined;
    const number = Object.hasOwn(NUMBERS, name) ? NUMBERS[name] : undefined;
    if (value === undefined) problems.push(`${name} needs a value`);
    else if (list !== undefined) lists[list] = value;
    else if (number !== undefined) {
      if (/^\d{1,5}$/.test(value) && Number(value) < 65_536) numbers[number] = Number(value);
      else problems.push(`${name}: "${value}" is not a number from 0 to 65535`);
    } else if (name === "-m" || name === "--istio-inbound-interception-mode") {
      if (value !== "REDIRECT") problems.push(`${name}: ${value} cannot be honoured, only REDIRECT can`);
    } else if (!IGNORED.has(name)) problems.push(`option ${name || (argv[at] ?? "")} is not known`);
  }
  const { proxyGroup, ...rest } = numbers;
  if (proxyGroup !== undefined && proxyGroup !== (rest.proxyId ?? defaultCapture.proxyId)) {
    problems.push("the proxy's user and group must have one number");
  }
  return { lists, numbers: rest, switches, problems };
}

/** `nameserver 10.96.0.10` of /etc/resolv.conf. */
function serversOf(resolvConf: string): readonly string[] {
  return resolvConf.split("\n").flatMap((line) => {
    const address = /^\s*nameserver\s+(\S+)/.exec(line)?.[1];
    // A zone says which interface; rules go by address.
    return address === undefined ? [] : [address.replace(/%.*$/, "")];
  });
}
