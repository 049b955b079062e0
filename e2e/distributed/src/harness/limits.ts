import { readFile } from "node:fs/promises";
import { resolve } from "node:path";

const SAMPLE = resolve(import.meta.dirname, "../../../../samples/rate-limiting");

/**
 * The sample's rate limits: the gateway asks mixer about every request of the path, the limit is never reached, and requests pass
 * while nobody decides.
 */
export async function limitsThatLetPass(path: string): Promise<string> {
  const filter = await readFile(resolve(SAMPLE, "envoy-filter.yaml"), "utf8");
  return `apiVersion: v1
kind: ConfigMap
metadata: { name: ratelimit-config, namespace: istio-system }
data:
  config.yaml: |
    domain: ratelimit
    descriptors:
      - key: PATH
        value: ${path}
        rate_limit: { unit: day, requests_per_unit: 1000000000 }
---
${filter.replace("failure_mode_deny: true", "failure_mode_deny: false")}`;
}
