import { randomUUID } from "node:crypto";
import { request } from "node:https";
import { type Attempt, isAsked, type Labels, type Webhook } from "./admission-match.ts";
import { failure } from "./api-objects.ts";
import { jsonPatched, type PatchOperation } from "./json-patch.ts";
import type { Json, Storage, StoredObject } from "./storage.ts";

/** Finds an endpoint of a service. @returns undefined when it has none. */
export type ReachService = (service: {
  readonly name: string;
  readonly namespace: string;
  readonly port: number;
}) => { readonly host: string; readonly port: number } | undefined;

interface Answer {
  readonly uid: string;
  readonly allowed: boolean;
  readonly patch?: string;
  readonly patchType?: string;
  readonly status?: { readonly code?: number; readonly message?: string; readonly reason?: string };
}

const GROUP = "admissionregistration.k8s.io";
const KINDS = {
  mutating: `mutatingwebhookconfigurations.${GROUP}`,
  validating: `validatingwebhookconfigurations.${GROUP}`,
};
const HTTPS = 443;
const REVIEW_VERSIONS = ["v1", "v1beta1"];

/**
 * Asks the webhooks that are configured before an object is written, as Kubernetes does: mutating ones one after the other by the names of
 * their configurations, again where they want that and a later one has changed the object, then validating ones all at once. Over TLS with the
 * `caBundle` of each, within its time. One that does not answer is treated by its `failurePolicy`. Webhooks by URL are not known here.
 */
export class Admission {
  readonly #storage: Storage;
  readonly #reach: ReachService;

  constructor(storage: Storage, reach: ReachService) {
    this.#storage = storage;
    this.#reach = reach;
  }

  /** @returns the object as it is to be written. @throws ApiFailure when it is refused. */
  async admit(attempt: Attempt): Promise<Json | undefined> {
    // Nobody locks himself out of the configuration of webhooks.
    if (attempt.resource.group === GROUP) return attempt.object;
    let { object } = attempt;
    const asked: { readonly webhook: Webhook; after: string }[] = [];
    const mutate = async (webhook: Webhook) => {
      object = await this.#mutated(webhook, { ...attempt, object });
      return JSON.stringify(object);
    };
    for (const webhook of this.#webhooks("mutating")) {
      if (this.#isAsked(webhook, { ...attempt, object })) asked.push({ webhook, after: await mutate(webhook) });
    }
    for (const { webhook, after } of asked) {
      if (webhook.reinvocationPolicy === "IfNeeded" && after !== JSON.stringify(object)) await mutate(webhook);
    }
    const final = { ...attempt, object };
    const validating = this.#webhooks("validating").filter((webhook) => this.#isAsked(webhook, final));
    await Promise.all(validating.map((webhook) => this.#ask(webhook, final)));
    return object;
  }

  #webhooks(kind: keyof typeof KINDS): readonly Webhook[] {
    return this.#storage
      .list(KINDS[kind])
      .flatMap(({ webhooks }: StoredObject) => (webhooks ?? []) as readonly Webhook[]);
  }

  #isAsked(webhook: Webhook, attempt: Attempt): boolean {
    const { namespace = "default" } = attempt;
    const labels: Labels = this.#storage.get("namespaces.", namespace)?.metadata.labels ?? {};
    // The API server labels every namespace with its name.
    return isAsked(webhook, attempt, { ...labels, "kubernetes.io/metadata.name": namespace });
  }

  async #mutated(webhook: Webhook, attempt: Attempt): Promise<Json | undefined> {
    const answer = await this.#ask(webhook, attempt);
    if (answer?.patch === undefined || attempt.object === undefined) return attempt.object;
    const patch = JSON.parse(Buffer.from(answer.patch, "base64").toString()) as readonly PatchOperation[];
    return jsonPatched(attempt.object, patch);
  }

  /** @returns undefined when nobody answers and that is to be ignored. */
  async #ask(webhook: Webhook, attempt: Attempt): Promise<Answer | undefined> {
    let answer: Answer;
    try {
      answer = await this.#call(webhook, attempt);
    } catch (error) {
      if (webhook.failurePolicy === "Ignore") return undefined;
      const text = `failed calling webhook "${webhook.name}": failed to call webhook: ${(error as Error).message}`;
      throw failure(500, "InternalError", `Internal error occurred: ${text}`);
    }
    if (answer.allowed) return answer;
    const { code = 0, message, reason = "" } = answer.status ?? {};
    const denied = `admission webhook "${webhook.name}" denied the request`;
    const text = message === undefined ? `${denied} without explanation` : `${denied}: ${message}`;
    throw failure(code < 400 ? 400 : code, reason, text);
  }

  async #call(webhook: Webhook, attempt: Attempt): Promise<Answer> {
    const { clientConfig, timeoutSeconds = 10, admissionReviewVersions } = webhook;
    const { name, namespace, path = "/", port = HTTPS } = clientConfig.service;
    const version = admissionReviewVersions.find((each) => REVIEW_VERSIONS.includes(each));
    if (version === undefined) throw new Error(`no known version among ${admissionReviewVersions.join(", ")}`);
    const servername = `${name}.${namespace}.svc`;
    const url = `https://${servername}:${port}${path}?timeout=${timeoutSeconds}s`;
    const place = this.#reach({ name, namespace, port });
    if (place === undefined) throw new Error(`Post "${url}": no endpoints available for service "${name}"`);
    const review = { apiVersion: `admission.k8s.io/${version}`, kind: "AdmissionReview", request: requestOf(attempt) };
    const ca = Buffer.from(clientConfig.caBundle ?? "", "base64").toString();
    const options = {
      ...place,
      ...{ servername, path: `${path}?timeout=${timeoutSeconds}s` },
      ...(ca === "" ? {} : { ca }),
    };
    const { response } = await posted(options, review, timeoutSeconds * 1000).catch((error: Error) => {
      throw new Error(`Post "${url}": ${error.message}`);
    });
    if (response?.uid !== review.request.uid) throw new Error(`Post "${url}": the answer is not to this request`);
    return response;
  }
}

function requestOf({ operation, resource, version, subresource, namespace, name, object, oldObject }: Attempt) {
  const kind = { group: resource.group, version, kind: resource.kind };
  const plural = { group: resource.group, version, resource: resource.plural };
  return {
    uid: randomUUID(),
    ...{ kind, resource: plural, requestKind: kind, requestResource: plural, operation },
    ...(subresource === undefined ? {} : { subResource: subresource }),
    ...(resource.namespaced ? { namespace: namespace ?? "default" } : {}),
    ...(name === undefined ? {} : { name }),
    userInfo: { username: "system:test" },
    object: object ?? null,
    oldObject: oldObject ?? null,
    dryRun: false,
  };
}

interface Place {
  readonly host: string;
  readonly port: number;
  readonly servername: string;
  readonly path: string;
  readonly ca?: string;
}

function posted(place: Place, body: object, timeoutMs: number): Promise<{ readonly response?: Answer }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ readonly response?: Answer }>();
  const signal = AbortSignal.timeout(timeoutMs);
  // A connection of its own: who has gone is noticed at once.
  const options = { ...place, method: "POST", headers: { "content-type": "application/json" }, agent: false, signal };
  const fail = (error: Error) => reject(signal.aborted ? new Error("context deadline exceeded") : error);
  const asking = request(options, (answer) => {
    const chunks: Buffer[] = [];
    answer.on("data", (chunk: Buffer) => chunks.push(chunk)).on("error", fail);
    answer.on("end", () => {
      const text = Buffer.concat(chunks).toString();
      if (answer.statusCode !== 200) return fail(new Error(`it answers ${answer.statusCode}: ${text}`));
      try {
        resolve(JSON.parse(text) as { readonly response?: Answer });
      } catch (error) {
        fail(error as Error);
      }
    });
  });
  asking.on("error", fail).end(JSON.stringify(body));
  return promise;
}
