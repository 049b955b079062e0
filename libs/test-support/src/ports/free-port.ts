import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";
import { listeningPorts } from "@lateen/kernel";

/**
 * Ports of 127.0.0.1 that nobody has at the moment, and that no outgoing connection is given: a server that is killed and started again finds
 * its own as it left it.
 */
export async function freePorts(count: number): Promise<readonly number[]> {
  const found: number[] = [];
  for (const port of listeningPorts(randomInt(2 ** 31), Number.POSITIVE_INFINITY)) {
    if (found.length === count) return found;
    if (await isFree(port)) found.push(port);
  }
  throw new Error(`127.0.0.1 has no ${count} free ports`);
}

export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  return port as number;
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, "127.0.0.1");
  try {
    await once(server, "listening");
  } catch {
    return false;
  }
  server.close();
  await once(server, "close");
  return true;
}
