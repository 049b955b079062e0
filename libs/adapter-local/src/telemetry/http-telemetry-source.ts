import { parseExposition, type Sample, type ScrapeTarget, type TelemetrySource } from "@lateen/ports";
import { getText, reasonOf } from "../http/get-text.ts";

export interface HttpTelemetryOptions {
  /** For one target, connecting included. */
  readonly timeoutMs: number;
  /** Targets read at the same time. Default 16. */
  readonly concurrency?: number;
  /** A longer answer counts as failed. Default 16 MiB. */
  readonly maxBytes?: number;
}

/** Reads the proxies' Prometheus endpoints directly. The result's key is `namespace/pod`. */
export function httpTelemetrySource(options: HttpTelemetryOptions): TelemetrySource {
  const maxBytes = options.maxBytes ?? 16 * 1024 * 1024;
  return {
    async scrape(targets) {
      const samples = new Map<string, readonly Sample[]>();
      const failed: { readonly target: ScrapeTarget; readonly reason: string }[] = [];
      const queue = [...targets];
      const worker = async () => {
        for (let target = queue.pop(); target; target = queue.pop()) {
          try {
            const text = await getText(target.url, {
              signal: AbortSignal.timeout(options.timeoutMs),
              maxBytes,
              redirect: "error",
            });
            samples.set(`${target.namespace}/${target.pod}`, parseExposition(text));
          } catch (error) {
            failed.push({ target, reason: reasonOf(error) });
          }
        }
      };
      await Promise.all(Array.from({ length: Math.min(options.concurrency ?? 16, targets.length) }, worker));
      return { samples, failed };
    },
  };
}
