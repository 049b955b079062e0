import { err, ok, type Result } from "@lateen/kernel";

/** What an API server asks a webhook. @see admission.k8s.io AdmissionRequest */
export interface AdmissionRequest {
  /** Of the review: `admission.k8s.io/v1` or `…/v1beta1`; the answer has the same. */
  readonly apiVersion: string;
  readonly uid: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly operation: "CREATE" | "UPDATE" | "DELETE" | "CONNECT";
  /** Undefined for DELETE. */
  readonly object: unknown;
}

/** What a webhook says to it. */
export type AdmissionVerdict =
  | {
      readonly allowed: true;
      /** RFC 6902; changes that the API server makes before it goes on. */
      readonly patch?: readonly unknown[];
      /** Shown by kubectl. */
      readonly warnings?: readonly string[];
    }
  | { readonly allowed: false; readonly message: string; readonly warnings?: readonly string[] };

const VERSIONS = ["admission.k8s.io/v1", "admission.k8s.io/v1beta1"];
const OPERATIONS = ["CREATE", "UPDATE", "DELETE", "CONNECT"] as const;
/** API servers cut longer warnings off, and longer sums of them. */
const WARNING_LENGTH = 250;
const WARNINGS = 15;

/** Reads an AdmissionReview as it was posted. @returns what is wrong with it. */
export function readAdmissionReview(body: unknown): Result<AdmissionRequest, string> {
  const review = record(body);
  if (review?.kind !== "AdmissionReview") return err("kind is not AdmissionReview");
  const apiVersion = text(review.apiVersion);
  if (!VERSIONS.includes(apiVersion)) return err(`apiVersion is not one of ${VERSIONS.join(", ")}`);
  const request = record(review.request);
  if (request === undefined) return err("request is missing");
  const uid = text(request.uid);
  if (uid === "") return err("request.uid is missing");
  const operation = OPERATIONS.find((each) => each === request.operation);
  if (operation === undefined) return err(`request.operation is not one of ${OPERATIONS.join(", ")}`);
  return ok({
    apiVersion,
    uid,
    kind: text(record(request.kind)?.kind),
    namespace: text(request.namespace),
    name: text(request.name),
    operation,
    object: request.object ?? undefined,
  });
}

/** The answer to a request, as an AdmissionReview of the same version. */
export function admissionReview(
  { apiVersion, uid }: AdmissionRequest,
  verdict: AdmissionVerdict,
): Readonly<Record<string, unknown>> {
  const { allowed, warnings = [] } = verdict;
  const response = {
    uid,
    allowed,
    ...(verdict.allowed ? patchOf(verdict.patch) : { status: refusal(verdict.message) }),
    ...(warnings.length === 0
      ? {}
      : { warnings: warnings.slice(0, WARNINGS).map((each) => each.slice(0, WARNING_LENGTH)) }),
  };
  return { apiVersion, kind: "AdmissionReview", response };
}

function refusal(message: string) {
  return { status: "Failure", code: 400, reason: "BadRequest", message: message.slice(0, 4096) };
}

function patchOf(patch: readonly unknown[] | undefined) {
  if (patch === undefined || patch.length === 0) return {};
  return { patchType: "JSONPatch", patch: Buffer.from(JSON.stringify(patch)).toString("base64") };
}

function record(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : undefined;
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
