import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { Cli } from "../cli.ts";
import { runCli } from "../program.ts";

let folder: string;
let server: Server;
let asked: string[];
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "lateen-run-"));
  mkdirSync(join(folder, "default"));
  asked = [];
  server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    if (request.url !== "/run") return response.end("{}");
    const event = {
      type: "joined",
      namespace: "default",
      pod: "web-run-1",
      address: "127.64.0.9",
      env: { POD_IP: "127.64.0.9" },
    };
    response.write(`${JSON.stringify(event)}\n`);
    return undefined;
  });
  server.listen(join(folder, "default/admin.sock"));
  await once(server, "listening");
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true });
});

async function run(
  ...command: readonly string[]
): Promise<{ readonly code: number | undefined; readonly err: string }> {
  let err = "";
  const cli: Cli = {
    env: { LATEEN_HOME: folder, PATH: process.env.PATH },
    cwd: folder,
    home: folder,
    out: () => {},
    err: (text) => {
      err += text;
    },
    outColor: false,
    errColor: false,
    errIsTerminal: false,
    readInput: async () => "",
  };
  return { code: await runCli(["run", "--service", "web", "--port", "8080", "--", ...command], cli), err };
}

it.each<[string, readonly string[], number]>([
  ["its exit code", ["sh", "-c", "exit 7"], 7],
  ["128 + n when a signal ended it", ["sh", "-c", "kill -TERM $$"], 143],
  ["127 when the program is not there", ["/no/such/program"], 127],
  ["with its place in the mesh in the environment", ["sh", "-c", 'test "$POD_IP:$PORT" = 127.64.0.9:8080'], 0],
  ["with words of its own that look like options", ["sh", "-c", 'test "$1" = --help', "sh", "--help"], 0],
])("ends as the command ends: %s", async (_, command, code) => {
  expect((await run(...command)).code).toBe(code);
  expect(asked).toEqual(["POST /run", "POST /run/web-run-1/leave"]);
});

it("passes signals on and still leaves the mesh", async () => {
  // The command signals this process, as a terminal would; it must get the signal back.
  const script = `trap 'exit 5' TERM; kill -TERM ${process.pid}; while :; do sleep 0.05; done`;
  expect((await run("sh", "-c", script)).code).toBe(5);
  expect(asked).toContain("POST /run/web-run-1/leave");
});
