/** One series of a scrape. Histogram series appear as their `_bucket`, `_sum` and `_count` samples. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface ScrapeTarget {
  readonly namespace: string;
  readonly pod: string;
  /** `http://ADDRESS:15090/stats/prometheus` */
  readonly url: string;
}

/** Current metrics of the proxies: read directly from them, or from a Prometheus. */
export interface TelemetrySource {
  /** Scrapes every target once; targets that do not answer within the timeout are named in `failed`. */
  scrape(targets: readonly ScrapeTarget[]): Promise<{
    readonly samples: ReadonlyMap<string, readonly Sample[]>;
    readonly failed: readonly { readonly target: ScrapeTarget; readonly reason: string }[];
  }>;
}
