import { codes } from "../../errors.ts";
import type { Infer } from "../../schema/index.ts";
import type { Check } from "../../validation/check.ts";
import { checkUnique } from "../../validation/common.ts";
import { isDnsSubdomain } from "../../validation/names.ts";
import { checkHostname } from "../gateway-api/check-refs.ts";
import type { KindContext } from "../index.ts";
import type { kubernetesGatewayBody } from "./schema.ts";

type Listener = NonNullable<Infer<typeof kubernetesGatewayBody>["spec"]["listeners"]>[number];

const PROTOCOLS: ReadonlySet<string> = new Set(["HTTP", "HTTPS", "TLS", "TCP", "UDP"]);
const NAME_OPTION = "gateway.istio.io/tls-terminate-mode";
const TERMINATE_MODES: ReadonlySet<string> = new Set(["SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL", "ISTIO_MUTUAL"]);

/** gateway.networking.k8s.io Gateway, as the rules of its CRD say. */
export function validateKubernetesGateway(body: Infer<typeof kubernetesGatewayBody>, context: KindContext): void {
  const check = context.check.at("spec");
  const listeners = body.spec.listeners ?? [];
  for (const [index, listener] of listeners.entries()) checkListener(listener, check.at("listeners", index));
  checkUnique(
    listeners.map(({ name }, index) => [name, check.at("listeners", index, "name")]),
    (name) => `listener "${name}" is there twice`,
  );
  checkUnique(
    listeners.map(({ port, protocol, hostname }, index) => [
      `${port} ${protocol} ${hostname ?? ""}`,
      check.at("listeners", index),
    ]),
    () => "port, protocol and hostname are those of another listener",
  );
  for (const [index, { type = "IPAddress" }] of (body.spec.addresses ?? []).entries()) {
    if (type === "IPAddress" || type === "Hostname") continue;
    check.at("addresses", index, "type").error(`"${type}" is not IPAddress or Hostname`);
  }
}

function checkListener(listener: Listener, check: Check): void {
  const { name, protocol, tls, hostname } = listener;
  if (!isDnsSubdomain(name)) check.at("name").error(`"${name}" is not a valid name`, { code: codes.metadata });
  if (!PROTOCOLS.has(protocol)) {
    check.at("protocol").error(`"${protocol}" is not one of ${[...PROTOCOLS].join(", ")}`);
    return;
  }
  const byBytes = protocol === "TCP" || protocol === "UDP";
  if (hostname && byBytes) {
    check.at("hostname").error(`a listener with protocol ${protocol} has no hostname`, { code: codes.conflict });
  }
  checkHostname(hostname, check.at("hostname"));
  if (tls !== undefined && (byBytes || protocol === "HTTP")) {
    check.at("tls").error(`a listener with protocol ${protocol} has no tls`, { code: codes.conflict, part: "key" });
    return;
  }
  if (tls === undefined && (protocol === "HTTPS" || protocol === "TLS")) {
    check.error(`a listener with protocol ${protocol} needs tls`, { code: codes.missingField });
    return;
  }
  if (tls !== undefined) checkTls(listener, tls, check.at("tls"));
}

function checkTls(listener: Listener, tls: NonNullable<Listener["tls"]>, check: Check): void {
  const mode = tls.mode ?? "Terminate";
  if (listener.protocol === "HTTPS" && mode !== "Terminate") {
    check.at("mode").error("a listener with protocol HTTPS ends TLS itself: mode must be Terminate");
  }
  for (const [key, value] of Object.entries(tls.options ?? {})) {
    if (key !== NAME_OPTION) {
      check.at("options", key).error(`option "${key}" is not known`, { code: codes.unsupported, part: "key" });
    } else if (!TERMINATE_MODES.has(value)) {
      check.at("options", key).error(`"${value}" is not one of ${[...TERMINATE_MODES].join(", ")}`);
    }
  }
  const certificates = tls.certificateRefs?.length ?? 0;
  const needed = mode === "Terminate" && tls.options?.[NAME_OPTION] !== "ISTIO_MUTUAL";
  if (needed && certificates === 0) {
    check.error("certificateRefs are required where TLS ends", { code: codes.missingField });
  }
  if (certificates > 1) {
    check.at("certificateRefs").error("several certificates for one listener are not supported yet", {
      code: codes.unsupported,
      hint: "give each hostname a listener of its own",
    });
  }
}
