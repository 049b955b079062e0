import { type Clock, type Logger, messageOf, type Random, type Scope } from "@lateen/kernel";
import type { WebhookConfiguration, WebhookRegistry } from "@lateen/ports";

export interface CaBundleOptions {
  readonly webhooks: WebhookRegistry;
  readonly configurations: readonly WebhookConfiguration[];
  /** Tags of this revision are kept as well. */
  readonly tagsOf?: string;
  /** The bundle that the webhooks' certificates are verified with, PEM, as of now. */
  readonly rootPem: () => string;
  readonly clock: Clock;
  readonly random: Random;
  readonly scope: Scope;
  readonly logger: Logger;
}

/** How often it is looked whether somebody (an upgrade, another tool) has put something else there. */
const LOOK_MS = 60_000;
const RETRY_MIN_MS = 1000;

/**
 * Keeps the trust bundle in the webhooks' configurations, so that the API server accepts the certificates that citadel issues: written where
 * it differs, looked at again every minute, tried again with growing pauses when the API server does not answer.
 * @returns looks at once; for when the bundle has changed.
 */
export function keepCaBundles(options: CaBundleOptions): () => void {
  const { clock, scope } = options;
  let cancel = () => {};
  let failures = 0;
  let working = false;
  let again = false;
  const next = (ms: number): void => {
    if (!scope.closed) cancel = clock.after(ms, look);
  };
  const look = (): void => {
    cancel();
    if (working) {
      again = true;
      return;
    }
    working = true;
    void writeAll(options).then((done) => {
      working = false;
      failures = done ? 0 : failures + 1;
      if (again) {
        again = false;
        look();
      } else next(done ? LOOK_MS : pauseAfter(failures, options.random));
    });
  };
  scope.defer(() => cancel());
  look();
  return look;
}

function pauseAfter(failures: number, random: Random): number {
  return Math.min(LOOK_MS, RETRY_MIN_MS * 2 ** Math.min(failures - 1, 10)) * (0.5 + 0.5 * random.next());
}

async function writeAll(options: CaBundleOptions): Promise<boolean> {
  const { webhooks, rootPem, logger } = options;
  const { tags, known } = await tagsOf(options);
  let done = known;
  for (const configuration of [...options.configurations, ...tags]) {
    const { kind, name } = configuration;
    try {
      const outcome = await webhooks.trust(configuration, rootPem());
      if (outcome === "written") logger.info({ event: "ca_bundle.written", kind, name });
      // Whoever installs the webhooks may come later.
      if (outcome === "missing") logger.debug({ event: "ca_bundle.no_webhooks", kind, name });
    } catch (error) {
      done = false;
      logger.warn({ event: "ca_bundle.not_written", kind, name, reason: messageOf(error) });
    }
  }
  return done;
}

async function tagsOf({
  webhooks,
  tagsOf: revision,
  logger,
}: CaBundleOptions): Promise<{ readonly tags: readonly WebhookConfiguration[]; readonly known: boolean }> {
  if (revision === undefined) return { tags: [], known: true };
  try {
    return { tags: await webhooks.tagsOf(revision), known: true };
  } catch (error) {
    logger.warn({ event: "ca_bundle.tags_unknown", revision, reason: messageOf(error) });
    return { tags: [], known: false };
  }
}
