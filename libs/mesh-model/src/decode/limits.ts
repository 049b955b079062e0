/** Bounds of one decode call; what lies beyond is refused, never truncated. */
export const limits = {
  /** Characters of one text: 10 MiB. */
  textLength: 10 * 1024 * 1024,
  /** Documents in one text, list items included. */
  documents: 20_000,
  /** Nesting of maps and lists. */
  depth: 64,
  /** Values that aliases may add to one document, against "billion laughs". */
  aliasedValues: 10_000,
  /** Values in one document. */
  values: 1_000_000,
  /** Findings reported for one document. */
  findings: 100,
} as const;
