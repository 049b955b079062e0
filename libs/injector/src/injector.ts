import { LateenError, type Logger } from "@lateen/kernel";
import { type AdmissionRequest, type AdmissionVerdict, admissionReview, readAdmissionReview } from "@lateen/runtime";
import { type InjectionConfig, type InjectionTexts, readInjectionConfig } from "./config/injection-config.ts";
import type { ProxyConfigs } from "./config/proxy-configs.ts";
import { badInjectionConfig, badReview } from "./errors.ts";
import { injectPod } from "./inject.ts";
import { isObject, objectOf, textOf } from "./json.ts";
import { InjectorMetrics } from "./metrics.ts";
import { ownerOf } from "./owner.ts";
import { jsonPatch } from "./patch.ts";

/** Where a cluster is, as the webhook's path says. */
export interface WebhookPlace {
  readonly cluster?: string | undefined;
  readonly network?: string | undefined;
}

/** The sidecar injector: answers admission reviews of pods. */
export interface Injector {
  /** What is in force. */
  readonly config: InjectionConfig;
  /** Puts a new configuration in force. One that cannot be read leaves the one before. @returns whether it is in force now. */
  update(texts: InjectionTexts): boolean;
  /** Puts other ProxyConfig objects in force. They stay when the texts change. */
  takeProxyConfigs(proxyConfigs: ProxyConfigs): void;
  /** Answers one AdmissionReview (v1 or v1beta1). @throws LTN3901 when it is none. */
  review(body: unknown, place?: WebhookPlace): Readonly<Record<string, unknown>>;
  /** Prometheus text. */
  metrics(): string;
}

/**
 * @param texts the configuration to begin with.
 * @throws LTN3902 when it cannot be read.
 */
export function createInjector(texts: InjectionTexts, logger: Logger): Injector {
  const first = readInjectionConfig(texts);
  if (!first.ok) throw badInjectionConfig(first.error);
  let config = first.value;
  const metrics = new InjectorMetrics();
  return {
    get config() {
      return config;
    },
    update(next) {
      const read = readInjectionConfig(next);
      if (!read.ok) {
        metrics.reloaded("rejected");
        logger.error({ event: "injector.config_rejected", problems: read.error.slice(0, 20) });
        return false;
      }
      config = { ...read.value, proxyConfigs: config.proxyConfigs };
      metrics.reloaded("accepted");
      logger.info({ event: "injector.config_in_force", revision: config.revision });
      return true;
    },
    takeProxyConfigs(proxyConfigs) {
      config = { ...config, proxyConfigs };
      logger.info({ event: "injector.proxy_configs_in_force", objects: proxyConfigs.length });
    },
    review(body, place = {}) {
      const request = readAdmissionReview(body);
      if (!request.ok) {
        metrics.answered("refused");
        throw badReview(request.error);
      }
      return admissionReview(request.value, judge(request.value, place));
    },
    metrics: () => metrics.exposition(),
  };

  function judge(request: AdmissionRequest, place: WebhookPlace): AdmissionVerdict {
    const pod = request.object;
    if (request.kind !== "Pod" || request.operation === "DELETE" || !isObject(pod)) {
      metrics.answered({ skipped: "no-pod" });
      return { allowed: true };
    }
    const metadata = objectOf(pod.metadata);
    const namespace = textOf(metadata.namespace) ?? (request.namespace || "default");
    const owner = ownerOf(metadata, namespace);
    const name = textOf(metadata.name) ?? textOf(metadata.generateName) ?? "";
    try {
      const injection = injectPod(pod, { namespace, owner, ...place }, config);
      if (!injection.ok) {
        metrics.answered("refused");
        logger.warn({ event: "injection.refused", namespace, name, problems: injection.error });
        return { allowed: false, message: injection.error.join("; ") };
      }
      if (!injection.value.injected) {
        metrics.answered({ skipped: injection.value.reason });
        logger.debug({ event: "injection.skipped", namespace, name, reason: injection.value.reason });
        return { allowed: true };
      }
      metrics.answered("injected");
      logger.info({ event: "injection.done", namespace, name, workload: owner.name });
      return { allowed: true, patch: jsonPatch(pod, injection.value.pod), warnings: injection.value.warnings };
    } catch (error) {
      metrics.answered("refused");
      throw error instanceof LateenError ? error : badReview(`the pod ${namespace}/${name} cannot be read`, error);
    }
  }
}
