import { describe, expect, it } from "vitest";
import { at, podOf, someParts } from "../testing/installation.ts";
import { manifestOf } from "./manifest.ts";
import { PROFILES, settingsOf } from "./settings.ts";

type Pod = ReturnType<typeof podOf>["spec"];
type Container = Pod["containers"][number];

const VOLUMES = [
  "configMap",
  "csi",
  "downwardAPI",
  "emptyDir",
  "ephemeral",
  "persistentVolumeClaim",
  "projected",
  "secret",
];
const SYSCTLS = [
  "kernel.shm_rmid_forced",
  "net.ipv4.ip_local_port_range",
  "net.ipv4.ip_unprivileged_port_start",
  "net.ipv4.tcp_syncookies",
  "net.ipv4.ping_group_range",
];

/** The Pod Security Standard `restricted`, control by control. */
const OF_POD: readonly (readonly [string, (pod: Pod) => boolean])[] = [
  ["no host namespaces", (pod) => !pod.hostNetwork && !pod.hostPID && !pod.hostIPC],
  [
    "only these volumes",
    (pod) => pod.volumes.every((volume) => Object.keys(volume).every((key) => key === "name" || VOLUMES.includes(key))),
  ],
  [
    "only safe sysctls",
    (pod) =>
      ((at(pod, "securityContext.sysctls") ?? []) as { name: string }[]).every(({ name }) => SYSCTLS.includes(name)),
  ],
  [
    "not as root",
    (pod) => at(pod, "securityContext.runAsNonRoot") === true && at(pod, "securityContext.runAsUser") !== 0,
  ],
  ["the runtime's seccomp profile", (pod) => at(pod, "securityContext.seccompProfile.type") === "RuntimeDefault"],
];
const OF_CONTAINER: readonly (readonly [string, (container: Container) => boolean])[] = [
  ["not privileged", (container) => at(container, "securityContext.privileged") !== true],
  ["no host ports", (container) => container.ports.every((port) => !("hostPort" in port))],
  [
    "no more privileges than its parent",
    (container) => at(container, "securityContext.allowPrivilegeEscalation") === false,
  ],
  [
    "no capabilities",
    (container) => {
      const capabilities = at(container, "securityContext.capabilities") as { drop: string[]; add?: string[] };
      return capabilities.drop.includes("ALL") && (capabilities.add ?? []).every((name) => name === "NET_BIND_SERVICE");
    },
  ],
  [
    "does not undo what the pod says",
    (container) =>
      at(container, "securityContext.runAsNonRoot") !== false && at(container, "securityContext.runAsUser") !== 0,
  ],
];
/** What we ask of them besides. */
const OURS: readonly (readonly [string, (container: Container) => boolean])[] = [
  ["a read-only root file system", (container) => at(container, "securityContext.readOnlyRootFilesystem") === true],
  ["probes", (container) => ["startupProbe", "livenessProbe", "readinessProbe"].every((name) => name in container)],
  [
    "requests and a memory limit",
    (container) =>
      at(container, "resources.requests.cpu") !== undefined &&
      at(container, "resources.requests.memory") !== undefined &&
      at(container, "resources.limits.memory") !== undefined,
  ],
];

describe.each(PROFILES)("pods of profile %s", (profile) => {
  const objects = manifestOf(settingsOf(profile), someParts);
  const pods = objects
    .filter(({ kind }) => ["Deployment", "StatefulSet"].includes(kind))
    .map((object) => [object.metadata.name, podOf(object).spec] as const);

  it.each(pods)("%s meets `restricted`", (_name, pod) => {
    expect(OF_POD.filter(([, holds]) => !holds(pod)).map(([control]) => control)).toEqual([]);
    for (const container of [...pod.containers, ...((pod.initContainers ?? []) as Container[])])
      expect(
        [...OF_CONTAINER, ...OURS]
          .filter(([, holds]) => !holds(container))
          .map(([control]) => `${container.name}: ${control}`),
      ).toEqual([]);
  });

  it("the namespace lets nothing else in", () => {
    const namespace = objects.find(({ kind }) => kind === "Namespace");
    expect(namespace?.metadata.labels?.["pod-security.kubernetes.io/enforce"]).toBe("restricted");
  });
});
