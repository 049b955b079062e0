import { LATER } from "../kinds/shared.ts";
import { type Infer, s } from "../schema/index.ts";
import type { Check } from "../validation/check.ts";

const forwarding = s.oneOf([
  "UNDEFINED",
  "SANITIZE",
  "FORWARD_ONLY",
  "APPEND_FORWARD",
  "SANITIZE_SET",
  "ALWAYS_FORWARD_ONLY",
]);
const switchable = s.object({ disabled: s.boolean() });

/** istio.mesh.v1alpha1.ProxyConfig.ProxyHeaders: headers that proxies add by themselves. */
export const proxyHeadersSchema = s.object({
  forwardedClientCert: forwarding,
  setCurrentClientCertDetails: s.object({
    subject: s.boolean(),
    cert: s.boolean(),
    chain: s.unsupported(s.boolean(), LATER),
    dns: s.boolean(),
    uri: s.boolean(),
  }),
  requestId: switchable,
  server: s.object({ disabled: s.boolean(), value: s.string() }),
  attemptCount: switchable,
  envoyDebugHeaders: switchable,
  metadataExchangeHeaders: s.object({ mode: s.oneOf(["UNDEFINED", "IN_MESH"]) }),
  preserveHttp1HeaderCase: s.boolean(),
  xForwardedHost: s.object({ enabled: s.boolean() }),
  xForwardedPort: s.object({ enabled: s.boolean() }),
});

/** istio.mesh.v1alpha1.Topology: what stands before a gateway. */
export const gatewayTopologySchema = s.object({
  numTrustedProxies: s.integer({ min: 0, max: 0xffff_ffff }),
  forwardClientCertDetails: forwarding,
  proxyProtocol: s.object({}),
});

/** `defaultConfig.proxyHeaders`. Default: all of them are there. */
export type ProxyHeaders = Infer<typeof proxyHeadersSchema>;
/** `defaultConfig.gatewayTopology`. Default: clients connect to gateways themselves. */
export type GatewayTopology = Infer<typeof gatewayTopologySchema>;

/** What a proxy says of itself must fit a header. */
export function checkProxyHeaders(headers: ProxyHeaders | undefined, check: Check): void {
  const value = headers?.server?.value;
  if (value === undefined || /^[ -~]*$/.test(value)) return;
  check.at("server", "value").error("only printable ASCII can be in a header");
}

/** Field by field the written one, else the default. */
export function mergedSettings<T extends object>(defaults: T | undefined, written: T | undefined): T | undefined {
  return defaults === undefined || written === undefined ? (written ?? defaults) : { ...defaults, ...written };
}
