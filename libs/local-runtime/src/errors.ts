import { LateenError } from "@lateen/kernel";

/** LTN7001: another supervisor serves this mesh. */
export function meshAlreadyRunning(mesh: string, directory: string): LateenError {
  return new LateenError({
    code: "LTN7001",
    fault: "user",
    message: `mesh "${mesh}" is already running (its state is in ${directory})`,
    hint: "stop it with `lateen down`, or start a second mesh with `--mesh NAME`",
  });
}

/** LTN7002: this machine cannot give pods addresses of their own. */
export function noPodAddresses(reason: string): LateenError {
  return new LateenError({
    code: "LTN7002",
    fault: "user",
    message: `no loopback addresses for pods: ${reason}`,
    hint: "a local mesh needs 127.64.0.0/10 on the loopback interface, which Linux has by default",
  });
}

/** LTN7003: every address or port of a pool is taken. */
export function poolExhausted(what: string): LateenError {
  return new LateenError({
    code: "LTN7003",
    fault: "user",
    message: `no free ${what} is left`,
    hint: "lower the number of replicas, or stop other meshes on this machine",
  });
}

/** LTN7004: the port asked for by --ingress-port is taken by another program. */
export function ingressPortBusy(port: number): LateenError {
  return new LateenError({
    code: "LTN7004",
    fault: "user",
    message: `port ${port} of --ingress-port is in use by another program`,
    hint: "stop that program, or choose another port; 0 picks a free one",
  });
}

/** LTN7005: the control plane's socket does not answer. */
export function controlPlaneUnavailable(cause: unknown): LateenError {
  return new LateenError({
    code: "LTN7005",
    fault: "system",
    message: "the control plane does not answer",
    hint: "its log is logs/control-plane.log in the mesh's state directory; it is restarted by itself",
    retryable: true,
    cause,
  });
}

/** LTN7006: no supervisor answers for this mesh. */
export function meshNotRunning(mesh: string, cause?: unknown): LateenError {
  return new LateenError({
    code: "LTN7006",
    fault: "user",
    message: `mesh "${mesh}" is not running`,
    hint: "start it with `lateen up -f DIR`",
    cause,
  });
}

/** LTN7007: the path of a unix socket would be longer than the operating system allows. */
export function socketPathTooLong(path: string): LateenError {
  return new LateenError({
    code: "LTN7007",
    fault: "user",
    message: `the state directory's path is too long for a unix socket: ${path}`,
    hint: "set LATEEN_HOME to a shorter directory",
  });
}

/** LTN7008: no such pod in this mesh. */
export function unknownPod(name: string, known: readonly string[]): LateenError {
  return new LateenError({
    code: "LTN7008",
    fault: "user",
    message: `no pod or workload "${name}" in this mesh`,
    hint: known.length === 0 ? "nothing is running" : `running: ${known.join(", ")}`,
  });
}

/** LTN7009: a `run` registration that cannot be honoured. */
export function badRunRequest(message: string, hint?: string): LateenError {
  return new LateenError({ code: "LTN7009", fault: "user", message, ...(hint === undefined ? {} : { hint }) });
}

/** LTN7013: the mesh's state directory cannot be made or written. */
export function stateNotWritable(directory: string, cause: unknown): LateenError {
  return new LateenError({
    code: "LTN7013",
    fault: "user",
    message: `the state directory ${directory} cannot be written: ${cause instanceof Error ? cause.message : String(cause)}`,
    hint: "point LATEEN_HOME at a directory that this user may write",
    cause,
  });
}

/** LTN7014: a pod's agent does not run, or got no certificate in time. */
export function agentNotReady(pod: string, reason: string): LateenError {
  return new LateenError({
    code: "LTN7014",
    fault: "system",
    retryable: true,
    message: `the agent of ${pod} is not ready${reason === "" ? "" : `: ${reason}`}`,
    hint: "lateen status tells whether pod and control plane run",
  });
}

/** LTN7016: capture by network namespaces was asked for and cannot be had. */
export function namespacesUnavailable(reason: string): LateenError {
  return new LateenError({
    code: "LTN7016",
    fault: "user",
    message: `--capture netns: ${reason}`,
    hint: "use --capture proxy-env, where applications leave through http_proxy, or auto, which takes what there is",
  });
}

/** LTN7017: a command that sets up a pod's network failed. */
export function namespaceFailed(command: string, reason: string): LateenError {
  return new LateenError({
    code: "LTN7017",
    fault: "system",
    message: `the network of a pod could not be set up: ${command}: ${reason}`,
  });
}
