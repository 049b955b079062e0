/** Which state of a topic: of two, the one with the larger epoch is newer, then the larger revision, then the larger step. */
export interface Version {
  /** Fencing token of the publisher's lease. */
  readonly epoch: number;
  readonly revision: number;
  /** Counts what one publisher published, because it may publish a revision more than once. */
  readonly step: number;
}

/** The marker that makes the parts of a bucket one state: its version, and what must be there for it to be whole. */
export interface Head {
  readonly version: Version;
  /** How many parts there are. */
  readonly parts: number;
  /** {@link SetDigest} of all of them. */
  readonly digest: string;
}

/** Where the head lies in the bucket. */
export const HEAD_NAME = "head";
const FORMAT = 1;

export function encodeHead({ version, parts, digest }: Head): Uint8Array {
  return Buffer.from(JSON.stringify({ format: FORMAT, ...version, parts, digest }));
}

/** undefined for anything that is no head of this format. */
export function decodeHead(bytes: Uint8Array): Head | undefined {
  const { epoch, revision, step, parts, digest } = parsed(bytes);
  const version = versionOf(epoch, revision, step);
  if (version === undefined || !isCount(parts) || typeof digest !== "string" || !/^[0-9a-f]{32}$/.test(digest)) {
    return undefined;
  }
  return { version, parts, digest };
}

/** What a publisher says of itself while it lives: the version that is to be in the bucket. */
export function encodeBeat(version: Version): Uint8Array {
  return Buffer.from(JSON.stringify({ format: FORMAT, ...version }));
}

export function decodeBeat(bytes: Uint8Array): Version | undefined {
  const { epoch, revision, step } = parsed(bytes);
  return versionOf(epoch, revision, step);
}

/** Less than 0 when `a` is older than `b`, 0 when they are the same. */
export function compareVersions(a: Version, b: Version): number {
  return a.epoch - b.epoch || a.revision - b.revision || a.step - b.step;
}

function parsed(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString("utf8"));
    if (typeof value !== "object" || value === null) return {};
    const fields = value as Readonly<Record<string, unknown>>;
    return fields.format === FORMAT ? fields : {};
  } catch {
    return {};
  }
}

function versionOf(epoch: unknown, revision: unknown, step: unknown): Version | undefined {
  return isCount(epoch) && isCount(revision) && isCount(step) ? { epoch, revision, step } : undefined;
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
