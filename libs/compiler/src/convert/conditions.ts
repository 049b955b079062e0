/** meta/v1 Condition as controllers write it; times are the writer's business, generations are added to a whole status. */
export interface Condition {
  readonly type: string;
  readonly status: "True" | "False" | "Unknown";
  readonly reason: string;
  readonly message: string;
}

/** A fault found while converting, with the Gateway API's reason for it. */
export interface Problem {
  readonly reason: string;
  readonly message: string;
}

/** `type` is True with its own good reason, or False with the first problem's. */
export function condition(type: string, good: string, problems: readonly Problem[]): Condition {
  const [first] = problems;
  if (first === undefined) return { type, status: "True", reason: good, message: "" };
  return { type, status: "False", reason: first.reason, message: problems.map(({ message }) => message).join("; ") };
}
