import { LateenError } from "@lateen/kernel";

/** LTN6201: a file with credentials or certificates cannot be used. The text of the file is never part of it. */
export function badCredentials(path: string, reason: string, cause?: unknown): LateenError {
  return new LateenError({
    code: "LTN6201",
    fault: "user",
    message: `${path} cannot be used for NATS: ${reason}`,
    hint: "a credentials file holds a .creds text, an nkey seed, USER:PASSWORD or a token, as --nats-credentials-kind says",
    detail: { path },
    retryable: true,
    cause,
  });
}

/** LTN6202: an address of NATS that is none. */
export function badServer(text: string): LateenError {
  return new LateenError({
    code: "LTN6202",
    fault: "user",
    message: `"${text}" is no address of a NATS server`,
    hint: "nats://HOST:PORT or tls://HOST:PORT, several separated by commas; credentials come from a file",
    detail: { text },
  });
}

/** LTN6203: a name that cannot be part of a bucket's or subject's name. */
export function badName(text: string): LateenError {
  return new LateenError({
    code: "LTN6203",
    fault: "user",
    message: `"${text}" cannot name a topic or mesh on NATS`,
    hint: "letters, digits, - and _",
    detail: { text },
  });
}

/** LTN6204: the server takes only smaller messages than we write. */
export function payloadTooSmall(limit: number, needed: number): LateenError {
  return new LateenError({
    code: "LTN6204",
    fault: "user",
    message: `the NATS server takes messages of ${limit} bytes, and ${needed} are needed`,
    hint: "raise max_payload of the server",
    detail: { limit, needed },
    retryable: true,
  });
}

/** LTN6205: a topic that this process has no codec for. */
export function noCodec(topic: string): LateenError {
  return new LateenError({
    code: "LTN6205",
    fault: "system",
    message: `no codec for the topic ${topic}`,
    detail: { topic },
  });
}

/** LTN6206: a process that has no fencing token may not publish. */
export function notPublisher(topic: string): LateenError {
  return new LateenError({
    code: "LTN6206",
    fault: "system",
    message: `this process follows ${topic} and does not publish it`,
    detail: { topic },
  });
}

/** LTN6207: a value, or a key, that does not fit. */
export function tooLarge(what: string, size: number, limit: number): LateenError {
  return new LateenError({
    code: "LTN6207",
    fault: "user",
    message: `${what} is ${size} bytes, and ${limit} are the most that travel over NATS`,
    detail: { size, limit },
  });
}
