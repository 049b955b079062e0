import { readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  askMinor,
  configReferences,
  type KubernetesApi,
  kubernetesConfigSource,
  kubernetesConfigStore,
  kubernetesConfigWriter,
  kubernetesKeySetStore,
  kubernetesLease,
  kubernetesRegistry,
  kubernetesSecretStore,
  kubernetesStatusWriter,
  kubernetesTokenReviewer,
  kubernetesWebhooks,
  openKubernetes,
  publishRootCertificate,
  publishStatuses,
  STATUS_LEASE,
  whileLeading,
} from "@lateen/adapter-kubernetes";
import {
  fileConfigSource,
  fileKeySetStore,
  filePodRegistry,
  fileSecretStore,
  journalConfigStore,
} from "@lateen/adapter-local";
import type { Citadel } from "@lateen/citadel";
import type { GalleyOptions } from "@lateen/galley";
import type { Clock, Logger, Scope } from "@lateen/kernel";
import { nameInRevision } from "@lateen/mesh-model";
import type { Pilot } from "@lateen/pilot";
import { jwtTokenReviewer, keepCaBundles } from "@lateen/pki";
import type {
  AcceptedObject,
  ConfigWriter,
  KeySetStore,
  SecretStore,
  ServiceRegistry,
  StateTopic,
  TokenReviewer,
  WebhookConfiguration,
} from "@lateen/ports";
import { badConfiguration } from "@lateen/runtime";
import type { ControlPlaneConfig } from "./config.ts";

/** What the control plane is in touch with, each in files of the state directory or in a cluster. */
export interface Surroundings {
  readonly secretStore: SecretStore;
  readonly tokenReviewer: TokenReviewer;
  readonly registry: ServiceRegistry;
  /** What token issuers published last: beside the registry. */
  readonly keySetStore: KeySetStore;
  readonly configuration: Pick<GalleyOptions, "source" | "store" | "countedBySource">;
  /** Undefined: galley takes what the mesh makes itself. */
  readonly writer: ConfigWriter | undefined;
  /** Which Kubernetes 1.x the cluster is; undefined without one, and when it does not say. */
  kubernetesMinor(): Promise<number | undefined>;
  /** Begins what is done in the cluster besides. */
  start(citadel: Citadel, pilot: Pilot): void;
}

interface Deps {
  readonly scope: Scope;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Accepted configuration. */
  readonly topic: StateTopic<AcceptedObject>;
}

/** @throws LTN6003 for options that contradict each other, LTN6505 without a way to the API server where one is needed. */
export async function surroundingsOf(config: ControlPlaneConfig, deps: Deps): Promise<Surroundings> {
  const { caStore, tokenReview, registry, publishRoot, kubeconfig, kubeContext: context } = config;
  const { scope, clock, logger } = deps;
  const configured = config.config.includes("kubernetes");
  if (configured && config.config.length > 1) {
    throw badConfiguration(["--config kubernetes cannot be mixed with files"]);
  }
  const configurations = webhooksOf(config);
  const inCluster =
    configurations.length > 0 || configured || publishRoot || [caStore, tokenReview, registry].includes("kubernetes");
  const kubernetes = inCluster ? await openKubernetes({ kubeconfig, context, scope }) : undefined;
  const inState = (name: string) => join(config.stateDir, name);
  /** The cluster, where the option wants it. */
  const where = (choice: string) => (choice === "kubernetes" ? kubernetes : undefined);
  const cluster = configured ? kubernetes : undefined;
  const named = config.gatewayCredentials ? { references: configReferences(deps.topic) } : {};
  const [secrets, tokens, running] = [where(caStore), where(tokenReview), where(registry)];
  const tokenReviewer =
    tokens === undefined
      ? jwtTokenReviewer({ publicPem: await readFile(inState("token-pub.pem"), "utf8") }, clock)
      : kubernetesTokenReviewer(tokens, { clock, logger });
  return {
    tokenReviewer,
    secretStore: secrets === undefined ? fileSecretStore(inState("ca")) : kubernetesSecretStore(secrets, { logger }),
    registry:
      running === undefined
        ? filePodRegistry(inState("registry/pods.json"), { logger, clock })
        : kubernetesRegistry(running, { logger, clock, ...named }),
    keySetStore: running === undefined ? fileKeySetStore(inState("issuer-keys")) : kubernetesKeySetStore(running),
    configuration:
      cluster === undefined
        ? {
            source: fileConfigSource(config.config, { logger }),
            store: journalConfigStore(inState("config"), { logger }),
          }
        : inApiServer(cluster, config.revision, deps),
    writer: cluster === undefined ? undefined : kubernetesConfigWriter(cluster),
    kubernetesMinor: async () => (kubernetes === undefined ? undefined : askMinor(kubernetes, logger)),
    start({ rootPem }, pilot) {
      if (running !== undefined && config.writeStatus) writeStatuses(running, pilot, deps);
      if (kubernetes === undefined) return;
      if (configurations.length > 0) {
        const webhooks = kubernetesWebhooks(kubernetes);
        const random = { next: Math.random };
        const tags = config.injectionWebhook.length > 0 ? { tagsOf: config.revision } : {};
        keepCaBundles({ webhooks, configurations, ...tags, rootPem: () => rootPem, clock, random, scope, logger });
      }
      if (!publishRoot) return;
      const lease = kubernetesLease(kubernetes, { clock, logger });
      whileLeading({ lease, name: "istio-ca-root-cert", scope, logger }, (turn) =>
        publishRootCertificate(kubernetes, { scope: turn, rootPem, clock, logger }),
      );
    },
  };
}

/** One of the replicas writes what became of Gateway API objects and Ingresses. */
function writeStatuses(kubernetes: KubernetesApi, pilot: Pilot, { scope, clock, logger }: Deps): void {
  const source = { version: () => pilot.pushes, statuses: () => pilot.debug.statuses() };
  const writer = kubernetesStatusWriter(kubernetes);
  const lease = kubernetesLease(kubernetes, { clock, logger });
  whileLeading({ lease, name: STATUS_LEASE, scope, logger }, (turn) =>
    publishStatuses({ writer, source, scope: turn, clock, logger }),
  );
}

function webhooksOf({ injectionWebhook, validationWebhook }: ControlPlaneConfig): readonly WebhookConfiguration[] {
  return [
    ...injectionWebhook.map((name) => ({ kind: "MutatingWebhookConfiguration", name }) as const),
    ...validationWebhook.map((name) => ({ kind: "ValidatingWebhookConfiguration", name }) as const),
  ];
}

/** Every replica decides by itself, on the same objects; what served instead of bad ones is written down by one of them. */
function inApiServer(
  kubernetes: KubernetesApi,
  revision: string,
  { scope, clock, logger }: Deps,
): Surroundings["configuration"] {
  let token: number | undefined;
  const lease = kubernetesLease(kubernetes, { clock, logger });
  whileLeading({ lease, name: nameInRevision("galley", revision), scope, logger }, async (turn, fencingToken) => {
    token = fencingToken;
    turn.defer(() => {
      token = undefined;
    });
  });
  return {
    source: kubernetesConfigSource(kubernetes, { revision, logger, clock }),
    store: kubernetesConfigStore(kubernetes, {
      ...{ logger, clock, name: nameInRevision("lateen-galley", revision) },
      fencingToken: () => token,
    }),
    countedBySource: true,
  };
}
