import type { FormatOperator, RouteMatch, RouteTable } from "@lateen/traffic";
import type { OperatorValue } from "../access-log/operators.ts";
import type { AccessLog } from "../access-log/sinks.ts";
import type { HttpFilter } from "../chain/spi.ts";
import type { HttpConnectionManagerSpec } from "../config/plan.ts";
import type { Tracer } from "../tracing/tracer.ts";
import type { ChainFacts, WorkerContext } from "../worker/state.ts";
import type { ExchangeState } from "./exchange-state.ts";
import type { HeadRules } from "./request-head.ts";

/** What an exchange needs of the connection manager that made it. */
export interface ExchangeHost {
  readonly context: WorkerContext;
  readonly spec: HttpConnectionManagerSpec;
  readonly chain: ChainFacts;
  readonly rules: HeadRules;
  readonly filters: readonly HttpFilter[];
  /** Some filter looks at bodies. */
  readonly bodyWatchers: boolean;
  /** The filters of this chain for requests that match so: a route may switch some off, and others on. */
  filtersFor(match: RouteMatch | undefined): readonly HttpFilter[];
  readonly log: AccessLog;
  /** Undefined: requests are not traced. */
  readonly tracer: Tracer | undefined;
  /** The table in force now; undefined until it has arrived. */
  routes(): RouteTable | undefined;
  /** `date` line with its CRLF. */
  dateLine(): string;
  /** `server` line of this proxy with its CRLF. */
  readonly serverLine: string;
  /** Line that tells how long the upstream took, behind the `server` line if asked for. @param ms whole milliseconds */
  serviceLines(withServer: boolean, ms: number): string;
  /** Value of a `%…%` operator in a header edit; operators this proxy lacks are unset. */
  operator(operator: FormatOperator): OperatorValue;
  /** Exactly once for each exchange, while it still has its heads. */
  ended(exchange: ExchangeState): void;
}
