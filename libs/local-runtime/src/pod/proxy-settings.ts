import { formatDuration } from "@lateen/kernel";
import {
  type BootstrapSettings,
  effectiveProxyConfig,
  type MeshConfig,
  meshConfigFromText,
  type ProxyConfig,
} from "@lateen/mesh-model";
import type { PodBlueprint } from "./types.ts";

const ANNOTATION = "proxy.istio.io/config";
/** More threads than this a proxy does not start. */
const MOST_THREADS = 64;

/** How a pod's proxy is started. */
export interface ProxySettings {
  /** Command-line flags by name. */
  readonly flags: Readonly<Record<string, string>>;
  readonly environment: Readonly<Record<string, string>>;
  /** What a stock Envoy in its place would be started with besides. */
  readonly bootstrap: BootstrapSettings;
  /** Milliseconds that its requests get to finish when it ends. */
  readonly drainMs: number;
}

/** What settings are made of. */
export interface SettingsInput {
  readonly config: MeshConfig;
  readonly proxyConfigs: readonly ProxyConfig[];
  readonly pod: Pick<PodBlueprint, "namespace" | "labels" | "annotations">;
  /** Processors of this machine: what concurrency 0 stands for. */
  readonly processors: number;
}

/**
 * Settings of a pod's proxy, field by field the most specific: annotation `proxy.istio.io/config`, ProxyConfig of the workload, of its
 * namespace, of the root namespace, `defaultConfig` of the mesh. An annotation that cannot be read says nothing.
 */
export function proxySettings({ config, proxyConfigs, pod, processors }: SettingsInput): ProxySettings {
  const annotated = annotation(pod.annotations[ANNOTATION], config);
  const base = config.defaultConfig;
  const ofObjects = effectiveProxyConfig(proxyConfigs, { ...pod, rootNamespace: config.rootNamespace });
  const concurrency = annotated.concurrency ?? ofObjects.concurrency ?? base.concurrency;
  const environment = { ...base.proxyMetadata, ...ofObjects.environmentVariables, ...annotated.proxyMetadata };
  const drainMs = annotated.terminationDrainDurationMs ?? base.terminationDrainDurationMs;
  return {
    flags: {
      ...(concurrency === undefined
        ? {}
        : { concurrency: String(Math.min(MOST_THREADS, concurrency === 0 ? processors : concurrency)) }),
      "drain-time": formatDuration(drainMs),
      "drain-duration": formatDuration(annotated.drainDurationMs ?? base.drainDurationMs),
    },
    environment,
    bootstrap: { ...base.bootstrap, ...annotated.bootstrap },
    drainMs,
  };
}

type Annotated = Partial<
  Pick<MeshConfig["defaultConfig"], "concurrency" | "terminationDrainDurationMs" | "drainDurationMs" | "bootstrap">
> & {
  readonly proxyMetadata: Readonly<Record<string, string>>;
};

function annotation(text: string | undefined, config: MeshConfig): Annotated {
  if (text === undefined) return { proxyMetadata: {} };
  const indented = text.replaceAll(/^/gm, "  ");
  const unset = {
    ...config.defaultConfig,
    ...{
      concurrency: undefined,
      proxyMetadata: {},
      terminationDrainDurationMs: -1,
      drainDurationMs: -1,
      bootstrap: undefined,
    },
  };
  const read = meshConfigFromText(`defaultConfig:\n${indented}`, ANNOTATION, { ...config, defaultConfig: unset });
  if (!read.ok) return { proxyMetadata: {} };
  const { concurrency, proxyMetadata, terminationDrainDurationMs, drainDurationMs, bootstrap } =
    read.value.defaultConfig;
  return {
    ...(concurrency === undefined ? {} : { concurrency }),
    ...(terminationDrainDurationMs < 0 ? {} : { terminationDrainDurationMs }),
    ...(drainDurationMs < 0 ? {} : { drainDurationMs }),
    ...(bootstrap === undefined ? {} : { bootstrap }),
    proxyMetadata,
  };
}
