/** A finished span. Times are epoch milliseconds. */
export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string | undefined;
  readonly state: string;
  /** It goes on with a span that its client began. */
  readonly shared: boolean;
  readonly server: boolean;
  readonly name: string;
  readonly startMs: number;
  readonly durationMs: number;
  readonly failed: boolean;
  readonly tags: Readonly<Record<string, string>>;
  /** This workload. */
  readonly service: string;
  readonly address: string;
  readonly port: number;
}
