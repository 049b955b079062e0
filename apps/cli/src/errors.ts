import { type ErrorCode, LateenError } from "@lateen/kernel";

/** LTN7501: the command line makes no sense. */
export function usageError(message: string, hint?: string): LateenError {
  return new LateenError({ code: "LTN7501", fault: "user", message, ...(hint === undefined ? {} : { hint }) });
}

/** LTN7502: the mesh answered that it cannot do it now. */
export function meshUnavailable(message: string): LateenError {
  return new LateenError({ code: "LTN7502", fault: "system", message, retryable: true });
}

/** LTN7503: a program of the package is not there. */
export function notBuilt(app: string, path: string): LateenError {
  return new LateenError({
    code: "LTN7503",
    fault: "user",
    message: `the app ${app} is not built (${path} is missing)`,
    hint: "run `npm run build`",
  });
}

/** LTN7504: what the command names does not exist. */
export function notFound(message: string, hint?: string): LateenError {
  return new LateenError({ code: "LTN7504", fault: "user", message, ...(hint === undefined ? {} : { hint }) });
}

/** LTN7505: a file cannot be read, or is not what it should be. */
export function badFile(path: string, reason: string): LateenError {
  return new LateenError({ code: "LTN7505", fault: "user", message: `${path}: ${reason}` });
}

/** An error that the mesh sent as `{error: {code, message, hint}}`; with an HTTP status from 500 on it is the mesh that cannot. */
export function fromMesh(
  status: number,
  error: { code: string; message: string; hint: string | undefined },
): LateenError {
  const { message, hint } = error;
  const known = /^LTN\d{4}$/.test(error.code) ? (error.code as ErrorCode) : undefined;
  const parts = { message, ...(hint === undefined ? {} : { hint }) };
  return status >= 500
    ? new LateenError({ code: known ?? "LTN7502", fault: "system", retryable: true, ...parts })
    : new LateenError({ code: known ?? "LTN7506", fault: "user", ...parts });
}

/** LTN7507: the bootstrap that an agent wrote cannot be patched. */
export function bootstrapNotPatched(reason: string): LateenError {
  return new LateenError({ code: "LTN7507", fault: "system", message: `the bootstrap cannot be patched: ${reason}` });
}

/** LTN7508: workloads or the configuration of injection cannot be used. */
export function injectionRefused(problems: readonly string[]): LateenError {
  return new LateenError({ code: "LTN7508", fault: "user", message: problems.join("\n") });
}

/** LTN7509: there is no kubectl. */
export function noKubectl(program: string): LateenError {
  return new LateenError({
    code: "LTN7509",
    fault: "user",
    message: `${program} cannot be started`,
    hint: "install kubectl, or name it by LATEEN_KUBECTL",
  });
}

/** LTN7510: a Kubernetes cluster does not do what it is asked. */
export function clusterRefused(asked: string, reason: string): LateenError {
  return new LateenError({ code: "LTN7510", fault: "system", message: `${asked}: ${reason}` });
}
