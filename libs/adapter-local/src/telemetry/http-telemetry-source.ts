import { messageOf } from "@lateen/kernel";
import { parseExposition, type Sample, type ScrapeTarget, type TelemetrySource } from "@lateen/ports";

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
            const text = await get(target.url, options.timeoutMs, maxBytes);
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

async function get(url: string, timeoutMs: number, maxBytes: number): Promise<string> {
  const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs), redirect: "error" });
  if (!response.ok) {
    await response.body?.cancel();
    throw new Error(`answered ${response.status}`);
  }
  const decoder = new TextDecoder();
  let bytes = 0;
  let text = "";
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new Error(`answered more than ${maxBytes} bytes`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

/** fetch wraps the system's error. */
function reasonOf(error: unknown): string {
  return error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : messageOf(error);
}
