import { type Logger, silentLogger } from "@lateen/kernel";
import type { CaMaterial, SecretStore } from "@lateen/ports";
import type { KubernetesApi } from "../client/api.ts";
import { type ApiObject, type Fields, isFields } from "../client/objects.ts";
import { caSecretError, isRefused } from "../errors.ts";

export interface SecretStoreOptions {
  /** Default: that of this process. */
  readonly namespace?: string;
  readonly logger?: Logger;
}

/** Istio's names: a CA that the operator brings, and the one that citadel makes for itself. */
const GIVEN = "cacerts";
const OWN = "istio-ca-secret";

/**
 * The CA in a Secret: `cacerts` when the operator made one, else `istio-ca-secret`. Of several processes that want to store a new CA the
 * first succeeds, and the others find its CA.
 */
export function kubernetesSecretStore(api: KubernetesApi, options: SecretStoreOptions = {}): SecretStore {
  const { namespace = api.namespace, logger = silentLogger } = options;
  const secrets = { group: "", version: "v1", plural: "secrets", namespace };
  const find = async (name: string): Promise<CaMaterial | undefined> => {
    try {
      return materialOf(`${namespace}/${name}`, await api.get(secrets, name));
    } catch (error) {
      if (isRefused(error, 404)) return undefined;
      throw error;
    }
  };
  return {
    loadCa: async () => (await find(GIVEN)) ?? (await find(OWN)),
    async saveCa(material) {
      await api.create(secrets, {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: OWN, namespace, labels: { "app.kubernetes.io/part-of": "lateen" } },
        type: "istio.io/ca-root",
        data: Object.fromEntries(
          Object.entries(FILES).map(([file, field]) => [file, Buffer.from(material[field]).toString("base64")]),
        ),
      });
      logger.info({ event: "ca.stored", secret: `${namespace}/${OWN}` });
    },
  };
}

const FILES = {
  "ca-cert.pem": "certPem",
  "ca-key.pem": "keyPem",
  "root-cert.pem": "rootPem",
  "cert-chain.pem": "chainPem",
} as const satisfies Readonly<Record<string, keyof CaMaterial>>;

function materialOf(secret: string, object: ApiObject): CaMaterial {
  const data: Fields = isFields(object.data) ? object.data : {};
  const text = (file: keyof typeof FILES) => {
    const value = data[file];
    return typeof value === "string" ? Buffer.from(value, "base64").toString("utf8") : "";
  };
  const certPem = text("ca-cert.pem");
  const keyPem = text("ca-key.pem");
  if (certPem === "" || keyPem === "") throw caSecretError(secret, "ca-cert.pem or ca-key.pem is missing");
  // A CA that signed itself is its own root; Istio's own secret then holds no more than that.
  const rootPem = text("root-cert.pem") || (secret.endsWith(`/${OWN}`) ? certPem : "");
  if (rootPem === "") throw caSecretError(secret, "root-cert.pem is missing");
  return { certPem, keyPem, rootPem, chainPem: text("cert-chain.pem") };
}
