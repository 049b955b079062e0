import { badRedisUrl } from "./errors.ts";

/** Where a Redis is. */
export interface RedisAddress {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly username: string | undefined;
  readonly database: number;
}

/**
 * Reads `redis://[USER@]HOST[:PORT][/DATABASE]`; `rediss` is TLS. A password is refused: command lines are seen by everybody on the machine.
 * @throws LTN6502
 */
export function parseRedisUrl(text: string): RedisAddress {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== "redis:" && url.protocol !== "rediss:")) {
    throw badRedisUrl("it does not begin with redis:// or rediss://");
  }
  if (url.hostname === "") throw badRedisUrl("it names no host");
  if (url.password !== "") throw badRedisUrl("it holds a password, which does not belong on a command line");
  if (url.search !== "" || url.hash !== "") throw badRedisUrl("it has parameters, of which none is known");
  const database = url.pathname.replace(/^\//, "");
  if (!/^\d{0,4}$/.test(database)) throw badRedisUrl(`"${database}" is not the number of a database`);
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? 6379 : Number(url.port),
    tls: url.protocol === "rediss:",
    username: url.username === "" ? undefined : decodeURIComponent(url.username),
    database: Number(database),
  };
}
