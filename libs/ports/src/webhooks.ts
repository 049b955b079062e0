/** A configuration by which an API server knows webhooks. */
export interface WebhookConfiguration {
  readonly kind: "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration";
  readonly name: string;
}

/** What an API server knows of webhooks. Implemented by adapter-kubernetes. */
export interface WebhookRegistry {
  /**
   * Lets the API server trust a bundle for every webhook of a configuration. Writes nothing where nothing differs.
   * @param caBundlePem certificates, PEM.
   * @returns `missing` when there is no such configuration.
   * @throws when the API server cannot be asked or refuses.
   */
  trust(configuration: WebhookConfiguration, caBundlePem: string): Promise<"written" | "unchanged" | "missing">;
  /**
   * The configurations that are tags of a revision: other names that stand for it.
   * @throws when the API server cannot be asked or refuses.
   */
  tagsOf(revision: string): Promise<readonly WebhookConfiguration[]>;
}
