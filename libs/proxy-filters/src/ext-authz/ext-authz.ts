import type {
  CollectedBody,
  Exchange,
  FilterContext,
  HttpFilter,
  HttpFilterRuntime,
  SideCall,
  Verdict,
} from "@lateen/proxy";
import { compileMetadataMatch, type MetadataMatch } from "@lateen/traffic";
import { callGrpc } from "../common/grpc-call.ts";
import { type CheckFacts, checkRequest, isPartial, readCheckResponse, visibleHeaders } from "./check.ts";
import { type BodySettings, EXT_AUTHZ, type ExtAuthzConfig, type ExtAuthzRouteConfig } from "./config.ts";
import { httpCheck, httpVerdicts } from "./http-check.ts";
import { editedPath } from "./query.ts";
import type { AuthzVerdict, ResponseHeader } from "./verdict.ts";

/**
 * Asks a service whether a request may pass. What the service does not allow, for whatever reason, does not pass unless the
 * configuration says otherwise.
 * @see envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
 */
export const extAuthzRuntime: HttpFilterRuntime<ExtAuthzConfig> = {
  name: EXT_AUTHZ,
  create: (config: ExtAuthzConfig, context: FilterContext): HttpFilter => new ExtAuthzFilter(config, context),
};

const CHECK = "/envoy.service.auth.v3.Authorization/Check";
const DENIED_FLAG = "UAEX";

/** What one exchange waits for, or has been given for its response. */
interface Pending {
  call: SideCall | undefined;
  response: readonly ResponseHeader[];
}

type Counted = "ok" | "denied" | "error" | "timeout" | "disabled" | "failure_mode_allowed";

class ExtAuthzFilter implements HttpFilter {
  readonly #config: ExtAuthzConfig;
  readonly #context: FilterContext;
  readonly #enabledByMetadata: MetadataMatch | undefined;
  readonly #headers: (exchange: Exchange) => ReadonlyMap<string, string>;
  readonly #httpVerdict: ReturnType<typeof httpVerdicts> | undefined;
  readonly #slots: Readonly<Record<Counted, number>>;

  constructor(config: ExtAuthzConfig, context: FilterContext) {
    this.#config = config;
    this.#context = context;
    this.#enabledByMetadata = config.enabledMetadata && compileMetadataMatch(config.enabledMetadata);
    this.#headers = visibleHeaders(config);
    this.#httpVerdict = config.service.kind === "http" ? httpVerdicts(config.service) : undefined;
    const labels = config.statPrefix === "" ? {} : { envoy_ext_authz_prefix: config.statPrefix };
    const counter = (name: string) => context.stats.counter(`envoy_http_ext_authz_${name}`, labels);
    this.#slots = context.shared(`${EXT_AUTHZ} ${config.statPrefix}`, () => ({
      ok: counter("ok"),
      denied: counter("denied"),
      error: counter("error"),
      timeout: counter("timeout"),
      disabled: counter("disabled"),
      failure_mode_allowed: counter("failure_mode_allowed"),
    }));
  }

  onRequestHead(exchange: Exchange): Verdict {
    const route = exchange.routeConfig(this.#context.configName) as ExtAuthzRouteConfig | undefined;
    if (route?.disabled === true) return "continue";
    if (!this.#isEnabled(exchange)) {
      this.#count("disabled");
      if (!this.#config.denyAtDisable) return "continue";
      this.#refuse(exchange, this.#config.statusOnError, "ext_authz_denied");
      return "replied";
    }
    const settings = route?.body === null ? undefined : (route?.body ?? this.#config.body);
    const facts = { contextExtensions: route?.contextExtensions ?? {}, bodySettings: settings, body: undefined };
    if (settings === undefined) this.#ask(exchange, facts);
    else exchange.readBody(settings.maxBytes + 1, (body) => this.#withBody(exchange, settings, { ...facts, body }));
    return "wait";
  }

  onResponseHead(exchange: Exchange): void {
    const pending = exchange.state(this) as Pending | undefined;
    for (const { name, value, action } of pending?.response ?? []) {
      const present =
        action === "addIfAbsent" || action === "overwriteIfPresent" ? exchange.responseEdits.textOf(name) : "";
      if (action === "append" || (action === "addIfAbsent" && present === undefined))
        exchange.responseEdits.append(name, value);
      if (action === "overwrite" || (action === "overwriteIfPresent" && present !== undefined))
        exchange.responseEdits.set(name, value);
    }
  }

  onDone(exchange: Exchange): void {
    (exchange.state(this) as Pending | undefined)?.call?.cancel();
  }

  #isEnabled(exchange: Exchange): boolean {
    const { enabled } = this.#config;
    if (enabled < 1 && !(enabled > 0 && this.#context.random() < enabled)) return false;
    const filter = this.#config.enabledMetadata?.filter ?? "";
    return this.#enabledByMetadata?.({ [filter]: exchange.metadata(filter) }) ?? true;
  }

  #withBody(
    exchange: Exchange,
    settings: BodySettings,
    facts: Omit<CheckFacts, "headers"> & { body: CollectedBody },
  ): void {
    if (!settings.allowPartial && isPartial(facts.body, settings)) {
      exchange.localReply({ status: 413, body: "Payload Too Large", flag: "", details: "request_payload_too_large" });
      return;
    }
    // A request without a body is asked for as one.
    this.#ask(exchange, facts.body.bytes.length === 0 ? { ...facts, body: undefined } : facts);
  }

  #ask(exchange: Exchange, given: Omit<CheckFacts, "headers">): void {
    const facts = { ...given, headers: this.#headers(exchange) };
    const pending: Pending = { call: undefined, response: [] };
    exchange.setState(this, pending);
    const { service } = this.#config;
    const done = (verdict: AuthzVerdict): void => {
      pending.call = undefined;
      this.#judge(exchange, pending, verdict);
    };
    if (service.kind === "grpc") {
      const message = checkRequest(exchange, this.#config, this.#context, facts);
      pending.call = callGrpc(this.#context, service, { path: CHECK, message }, (outcome) =>
        done(outcome.ok ? readCheckResponse(outcome.message) : { ...outcome, kind: "error" }),
      );
      return;
    }
    pending.call = this.#context.call(httpCheck(exchange, service, facts), (outcome) => {
      done(this.#httpVerdict?.(outcome) ?? { kind: "error", timeout: false, detail: "no service" });
    });
  }

  #judge(exchange: Exchange, pending: Pending, verdict: AuthzVerdict): void {
    if (verdict.kind !== "error" && verdict.metadata !== undefined && this.#config.takesMetadata) {
      exchange.setMetadata(EXT_AUTHZ, verdict.metadata);
    }
    switch (verdict.kind) {
      case "ok":
        this.#count("ok");
        this.#allow(exchange, pending, verdict);
        return;
      case "denied": {
        this.#count("denied");
        for (const [name, value] of verdict.set) exchange.responseEdits.set(name, value);
        for (const [name, value] of verdict.append) exchange.responseEdits.append(name, value);
        this.#refuse(exchange, verdict.status, "ext_authz_denied", verdict.body);
        return;
      }
      case "error":
        this.#count("error");
        if (verdict.timeout) this.#count("timeout");
        if (!this.#config.failureModeAllow) {
          this.#refuse(exchange, this.#config.statusOnError, "ext_authz_error");
          return;
        }
        this.#count("failure_mode_allowed");
        if (this.#config.failureModeAllowHeader) {
          exchange.requestEdits.set("x-envoy-auth-failure-mode-allowed", "true");
        }
        exchange.resume();
    }
  }

  #allow(exchange: Exchange, pending: Pending, verdict: Extract<AuthzVerdict, { kind: "ok" }>): void {
    const { requestEdits, request } = exchange;
    for (const [name, value] of verdict.set) requestEdits.set(name, value);
    for (const [name, value] of verdict.append) {
      const known = requestEdits.textOf(name);
      if (known !== undefined) requestEdits.set(name, `${known},${value}`);
    }
    for (const [name, value] of verdict.add) requestEdits.append(name, value);
    for (const name of verdict.remove) requestEdits.remove(name);
    if (verdict.querySet.length + verdict.queryRemove.length > 0) {
      requestEdits.path(
        editedPath(request.text(request.pathStart, request.pathEnd), verdict.querySet, verdict.queryRemove),
      );
    }
    pending.response = verdict.response;
    const changed =
      verdict.set.length +
        verdict.append.length +
        verdict.add.length +
        verdict.remove.length +
        verdict.querySet.length >
      0;
    if (this.#config.clearRouteCache && (changed || verdict.queryRemove.length > 0)) exchange.rematch();
    exchange.resume();
  }

  #refuse(exchange: Exchange, status: number, details: string, body = ""): void {
    exchange.localReply({ status, body, flag: DENIED_FLAG, details, because: this.#config.service.cluster });
  }

  #count(name: Counted): void {
    this.#context.stats.add(this.#slots[name], 1);
  }
}
