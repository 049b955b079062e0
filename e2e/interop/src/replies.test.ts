import net from "node:net";
import { eventually } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { REPLY_BACKENDS, REPLY_PORT, type ReplyCase, replyCases } from "./cases/reply-cases.ts";
import { program } from "./harness/programs.ts";
import { type Flavor, StandAlone, staticCluster } from "./harness/stand-alone.ts";
import { startHttp, type Upstream } from "./harness/upstream.ts";

const envoy = program("envoy");
const title = `replies of the proxy are called as Envoy calls them${envoy.path === undefined ? ` (skipped: no Envoy: ${envoy.reason})` : ""}`;
const FLAVORS = ["envoy", "own"] as const;

describe.skipIf(envoy.path === undefined)(title, () => {
  let proxies: StandAlone;
  let application: Upstream;
  let servers: readonly net.Server[];
  const silentGot: string[] = [];

  beforeAll(async () => {
    application = await startHttp("app", "127.0.0.1", REPLY_BACKENDS.app);
    servers = await Promise.all([
      serve(REPLY_BACKENDS.silent, (_socket, head) => void silentGot.push(head)),
      serve(REPLY_BACKENDS.hangsUp, (socket) => void socket.end()),
      serve(REPLY_BACKENDS.garbles, (socket) => void socket.end("this is no HTTP\r\n\r\n")),
      serve(REPLY_BACKENDS.cutsOff, (socket) => void socket.end("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")),
    ]);
    const breakers = (limits: object) => ({ circuit_breakers: { thresholds: [limits] } });
    const listeners = replyCases.map(({ filters = [], virtualHost = {}, more = {} }, index) => ({
      port: REPLY_PORT + index,
      httpFilters: filters,
      virtualHost,
      more,
      logFormat: `${place(index)}%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n`,
    }));
    const { app, silent, hangsUp, garbles, cutsOff, closed } = REPLY_BACKENDS;
    proxies = await StandAlone.start(listeners, [
      staticCluster("app", [app]),
      staticCluster("empty", []),
      staticCluster("silent", [silent]),
      staticCluster("hangs-up", [hangsUp]),
      staticCluster("garbles", [garbles]),
      staticCluster("cuts-off", [cutsOff]),
      staticCluster("closed", [closed]),
      staticCluster("no-pending", [app], breakers({ max_pending_requests: 0 })),
      staticCluster("no-requests", [app], breakers({ max_requests: 0 })),
    ]);
  });
  afterAll(async () => {
    await proxies?.stop();
    await application?.close();
    for (const server of servers ?? []) server.close();
  });

  it.each(replyCases.map((one, index) => ({ ...one, index })))("$name", async (one) => {
    const [theirs, ours] = await Promise.all(FLAVORS.map((flavor) => logged(proxies, flavor, one, silentGot)));
    expect(ours).toEqual(theirs);
  });
});

/** How the lines of a case begin. */
const place = (index: number): string => `<${index}> `;

function serve(port: number, answer: (socket: net.Socket, head: string) => void): Promise<net.Server> {
  const server = net.createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", (bytes) => answer(socket, bytes.toString("latin1")));
  });
  return new Promise((resolve) => server.listen(port, "127.0.0.1", () => resolve(server)));
}

/** What the proxy's log says of the case's request. */
async function logged(
  proxies: StandAlone,
  flavor: Flavor,
  { sends, leaves, ownWords, index }: ReplyCase & { readonly index: number },
  silentGot: readonly string[],
) {
  const { host, port } = proxies.via(flavor, REPLY_PORT + index);
  const socket = net.connect({ host, port });
  socket.on("error", () => {});
  socket.write(sends ?? `GET /${flavor}/${index} HTTP/1.1\r\nhost: shop\r\n\r\n`, "latin1");
  if (leaves) {
    const begins = `GET /${flavor}/${index} `;
    await eventually("the request arrives", async () => silentGot.find((head) => head.startsWith(begins)));
    socket.resetAndDestroy();
  }
  const line = await eventually(
    `the log line of ${flavor}`,
    async () => (await proxies.log(flavor)).find((each) => each.startsWith(place(index))),
    20_000,
  );
  socket.destroy();
  const text = line.slice(place(index).length);
  return ownWords ? text.replace(/[|{].*$/, "") : text;
}
