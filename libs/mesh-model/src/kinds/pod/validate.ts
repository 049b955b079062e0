import { checkProxyConfigAnnotation } from "../../config/annotation.ts";
import { codes } from "../../errors.ts";
import type { Infer } from "../../schema/index.ts";
import type { Check } from "../../validation/check.ts";
import { checkUnique } from "../../validation/common.ts";
import { isDnsLabel, isDnsSubdomain } from "../../validation/names.ts";
import type { KindContext } from "../index.ts";
import type { podBody, podSpec } from "./schema.ts";

type PodSpec = Infer<typeof podSpec>;

/** core/v1 Pod. */
export function validatePod(body: Infer<typeof podBody>, context: KindContext): void {
  checkProxyConfigAnnotation(context.metadata.annotations, context.check.at("metadata"));
  checkPodSpec(body.spec, context.check.at("spec"));
}

/** The parts of a pod's spec that a runtime and the mesh use. */
export function checkPodSpec(spec: PodSpec, check: Check): void {
  if (spec.containers.length === 0) check.at("containers").error("at least one container is required");
  const account = spec.serviceAccountName ?? spec.serviceAccount;
  if (account && !isDnsSubdomain(account)) {
    check.at("serviceAccountName").error(`"${account}" is not a service account name`);
  }
  const volumes = new Set((spec.volumes ?? []).map((volume) => volume.name));
  const groups = [
    ["containers", spec.containers],
    ["initContainers", spec.initContainers ?? []],
  ] as const;
  for (const [field, containers] of groups) {
    for (const [index, container] of containers.entries()) {
      checkContainer(container, volumes, check.at(field, index));
    }
  }
  checkUnique(
    groups.flatMap(([field, containers]) =>
      containers.map((container, index) => [container.name, check.at(field, index, "name")] as const),
    ),
    (name) => `container name "${name}" is used twice`,
  );
  checkUnique(
    (spec.volumes ?? []).map((volume, index) => [volume.name, check.at("volumes", index, "name")]),
    (name) => `volume name "${name}" is used twice`,
  );
}

function checkContainer(container: PodSpec["containers"][number], volumes: ReadonlySet<string>, check: Check): void {
  if (!isDnsLabel(container.name)) check.at("name").error(`"${container.name}" is not a valid container name`);
  for (const [index, mount] of (container.volumeMounts ?? []).entries()) {
    if (volumes.has(mount.name)) continue;
    check.at("volumeMounts", index, "name").error(`the pod has no volume "${mount.name}"`);
  }
  for (const [index, variable] of (container.env ?? []).entries()) {
    const at = check.at("env", index);
    if (variable.name === "" || variable.name.includes("="))
      at.at("name").error("not a valid environment variable name");
    if (variable.value && variable.valueFrom !== undefined) {
      at.error("value and valueFrom exclude each other", { code: codes.conflict });
    }
  }
  checkUnique(
    (container.ports ?? []).flatMap((port, index) =>
      port.name ? [[port.name, check.at("ports", index, "name")] as const] : [],
    ),
    (name) => `port name "${name}" is used twice`,
  );
}
