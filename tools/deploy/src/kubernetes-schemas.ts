import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ensureService } from "@lateen/services";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";

/** Says what is wrong with an object of Kubernetes' own API, by the API's own schemas. */
export interface KubernetesSchemas {
  /** One line a fault; an unknown field is one. */
  faults(object: { readonly apiVersion: string; readonly kind: string }): readonly string[];
}

/** The schemas of one version of Kubernetes, or why they cannot be had here. Nothing is asked of any cluster. */
export function kubernetesSchemas(): KubernetesSchemas | { readonly reason: string; readonly installable: boolean } {
  const found = ensureService("kubernetes-schemas");
  if (found.path === undefined) return { reason: found.reason, installable: found.installable };
  const folder = found.path;
  const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
  ajv.addSchema(readJson(join(folder, "_definitions.json")), "_definitions.json");
  const validators = new Map<string, ValidateFunction>();
  return {
    faults({ apiVersion, kind, ...rest }) {
      // `rbac.authorization.k8s.io/v1` is in a file `…-rbac-v1.json`.
      const file = `${kind.toLowerCase()}-${apiVersion.replace(/^([^./]*)(?:\.[^/]*)?\//, "$1-")}.json`;
      let validate = validators.get(file);
      if (validate === undefined) {
        if (!existsSync(join(folder, file))) return [`Kubernetes has no ${apiVersion} ${kind}`];
        validate = ajv.compile({ $id: file, ...readJson(join(folder, file)) });
        validators.set(file, validate);
      }
      if (validate({ apiVersion, kind, ...rest })) return [];
      return (validate.errors ?? []).map(
        ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
      );
    },
  };
}

function readJson(path: string): Record<string, unknown> {
  return JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
}
