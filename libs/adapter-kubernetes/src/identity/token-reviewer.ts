import { hash } from "node:crypto";
import { type Clock, err, type Logger, messageOf, ok, type Result, silentLogger, systemClock } from "@lateen/kernel";
import type { TokenIdentity, TokenReviewer } from "@lateen/ports";
import type { KubernetesApi } from "../client/api.ts";
import { type Fields, isFields } from "../client/objects.ts";

export interface TokenReviewerOptions {
  readonly clock?: Clock;
  readonly logger?: Logger;
  /** How long an accepted token is not asked about again, milliseconds. Default 30,000. */
  readonly rememberMs?: number;
  /** How long an answer may take, milliseconds. Default 5,000. */
  readonly timeoutMs?: number;
}

const PATH = "/apis/authentication.k8s.io/v1/tokenreviews";
const POD_NAME = "authentication.kubernetes.io/pod-name";
/** Reviews under way; more callers at once are refused, and come again. */
const MAX_UNDER_WAY = 64;
const MAX_REMEMBERED = 10_000;
const MAX_TOKEN_CHARACTERS = 16_384;

interface Remembered {
  readonly identity: TokenIdentity;
  /** Monotonic milliseconds. */
  readonly until: number;
}

/**
 * Asks the API server whose a token is (TokenReview). Only tokens for the audience count. While the API server cannot be asked, tokens that
 * were not accepted a moment ago are refused: callers with a certificate do not need it.
 */
export function kubernetesTokenReviewer(api: KubernetesApi, options: TokenReviewerOptions = {}): TokenReviewer {
  return new CachingReviewer(api, options);
}

class CachingReviewer implements TokenReviewer {
  readonly #api: KubernetesApi;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #rememberMs: number;
  readonly #timeoutMs: number;
  readonly #remembered = new Map<string, Remembered>();
  readonly #underWay = new Map<string, Promise<Result<TokenIdentity, string>>>();

  constructor(api: KubernetesApi, { clock, logger, rememberMs, timeoutMs }: TokenReviewerOptions) {
    this.#api = api;
    this.#clock = clock ?? systemClock();
    this.#logger = (logger ?? silentLogger).child({ component: "token-reviewer" });
    this.#rememberMs = rememberMs ?? 30_000;
    this.#timeoutMs = timeoutMs ?? 5_000;
  }

  async review(token: string, audience: string): Promise<Result<TokenIdentity, string>> {
    if (token.length > MAX_TOKEN_CHARACTERS) return err("the token is too long");
    const key = hash("sha256", `${audience}\n${token}`, "base64url");
    const known = this.#remembered.get(key);
    if (known !== undefined && known.until > this.#clock.monotonic()) return ok(known.identity);
    const asked = this.#underWay.get(key);
    if (asked !== undefined) return asked;
    if (this.#underWay.size >= MAX_UNDER_WAY) return err("too many tokens are being reviewed; try again");
    const answer = this.#ask(token, audience, key).finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, answer);
    return answer;
  }

  async #ask(token: string, audience: string, key: string): Promise<Result<TokenIdentity, string>> {
    let answer: unknown;
    try {
      answer = await this.#api.request({
        method: "POST",
        path: PATH,
        body: { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", spec: { token, audiences: [audience] } },
        timeoutMs: this.#timeoutMs,
      });
    } catch (error) {
      this.#logger.warn({ event: "token.review_failed", reason: messageOf(error) });
      return err("the token cannot be reviewed now");
    }
    const identity = identityOf(answer, audience);
    if (identity.ok) this.#remember(key, identity.value);
    return identity;
  }

  #remember(key: string, identity: TokenIdentity): void {
    const [oldest] = this.#remembered.keys();
    if (this.#remembered.size >= MAX_REMEMBERED && oldest !== undefined) this.#remembered.delete(oldest);
    this.#remembered.delete(key);
    this.#remembered.set(key, { identity, until: this.#clock.monotonic() + this.#rememberMs });
  }
}

function identityOf(answer: unknown, audience: string): Result<TokenIdentity, string> {
  const status: Fields = isFields(answer) && isFields(answer.status) ? answer.status : {};
  if (status.authenticated !== true) return err("the token is not valid");
  // An API server that knows no audiences names none; then nobody has checked it.
  const audiences: readonly unknown[] = Array.isArray(status.audiences) ? status.audiences : [];
  if (!audiences.includes(audience)) return err(`the token is not meant for ${audience}`);
  const user = isFields(status.user) ? status.user : {};
  const parts = typeof user.username === "string" ? user.username.split(":") : [];
  const [system, account, namespace, serviceAccount, more] = parts;
  if (system !== "system" || account !== "serviceaccount" || !namespace || !serviceAccount || more !== undefined) {
    return err("the token is not a service account's");
  }
  const pods = isFields(user.extra) ? user.extra[POD_NAME] : undefined;
  const pod: unknown = Array.isArray(pods) ? pods[0] : undefined;
  return ok({ namespace, serviceAccount, ...(typeof pod === "string" ? { pod } : {}) });
}
