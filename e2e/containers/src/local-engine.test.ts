import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ImageBuilder } from "@lateen/images";
import { eventually } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ContainerSpec, Sandbox } from "./harness/engine.ts";
import { LocalEngine } from "./harness/local-engine.ts";
import { ServiceNetwork } from "./harness/service-network.ts";

const { E2E_BACKEND: backend, LATEEN_CONTAINERS_SKIP: skipped, LATEEN_CONTAINERS_INSIDE: inside } = process.env;
const reason = skipped ?? (inside === undefined ? "needs namespaces of its own" : "");
const PATIENCE_MS = 60_000;
const SETUP_MS = 300_000;
const IMAGE = "lateen.test/engine:1";
const SCRIPT = `const { createServer } = require("node:http");
const server = createServer(({ url }, answer) => answer.end(process.env.NAME + " " + url)).listen(8080);
process.on("SIGTERM", () => server.close(() => process.exit(7)));
console.log("listening");
`;

describe.skipIf(reason !== "")(`containers without an engine (${reason || `beside ${backend}`})`, () => {
  let folder: string;
  let engine: LocalEngine;
  let services: ServiceNetwork;
  let pods: readonly [Sandbox, Sandbox];
  const spec = (sandbox: Sandbox, more: Partial<ContainerSpec> = {}): ContainerSpec => ({
    ...{ name: "app", image: IMAGE, sandbox, args: [], env: { NAME: sandbox.name }, user: 1337, group: 1337 },
    ...{ readOnly: true, capabilities: [], mounts: [], ...more },
  });
  /** Starts the image's own program, and waits until it can be asked and told to end. */
  const started = async (wanted: ContainerSpec) => {
    const container = await engine.start(wanted);
    await eventually("it listens", async () => (await container.log()) === "listening\n" || undefined, PATIENCE_MS);
    return container;
  };
  const node = (text: string) => ["/usr/local/bin/node", "-e", text];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "lateen-engine-"));
    const builder = new ImageBuilder({ hub: "lateen.test", tag: "1", folder: join(folder, "images"), level: 1 });
    engine = await LocalEngine.create(join(folder, "engine"));
    await engine.load([builder.script("engine", IMAGE, SCRIPT)]);
    services = new ServiceNetwork(engine.gateway);
    pods = [
      await engine.sandbox("one", {}),
      await engine.sandbox("two", { "net.ipv4.ip_unprivileged_port_start": "80" }),
    ];
  }, SETUP_MS);
  afterAll(async () => {
    services?.close();
    await engine?.close();
    await rm(folder, { recursive: true, force: true });
  });

  it("have the user, rights, files and network that were asked for, and end when they are told to", async () => {
    const shared = join(folder, "shared");
    await writeFile(shared, "of the pod");
    const mounts = [{ from: shared, to: "/etc/config/shared", readOnly: true }];
    const container = await started(spec(pods[1], { mounts }));
    const text = `const { readFileSync, writeFileSync, readdirSync } = require("node:fs");
      const status = readFileSync("/proc/1/status", "utf8");
      const find = (name) => new RegExp("^" + name + ":\\\\s+(\\\\S+)", "m").exec(status)[1];
      const tried = (path) => { try { writeFileSync(path, ""); return "written"; } catch (error) { return error.code; } };
      console.log(JSON.stringify({
        status: ["Uid", "Gid", "CapEff", "NoNewPrivs"].map(find),
        processes: readdirSync("/proc").filter((name) => /^\\d+$/.test(name)).length,
        written: ["/tmp/x", "/etc/config/shared", "/proc/sys/net/ipv4/ip_forward"].map(tried),
        shared: readFileSync("/etc/config/shared", "utf8"),
        first: readFileSync("/proc/sys/net/ipv4/ip_unprivileged_port_start", "utf8").trim(),
        shell: require("node:fs").existsSync("/bin/sh"),
      }));`;
    const { code, output } = await container.exec(node(text));
    expect({ code, ...(JSON.parse(output) as object) }).toEqual({
      code: 0,
      status: ["1337", "1337", "0000000000000000", "1"],
      processes: 2,
      written: ["EROFS", "EROFS", "EROFS"],
      shared: "of the pod",
      first: "80",
      shell: false,
    });
    expect(await container.stop(60)).toBe(7);
    expect(await container.exec(node("")).catch(({ message }: Error) => message)).toBe("app has ended");
    expect(await readFile(shared, "utf8")).toBe("of the pod");
  });

  it("share the network of their pod, and reach others by addresses of services", async () => {
    const containers = await Promise.all(pods.map((pod) => started(spec(pod))));
    const ask = async (url: string) => {
      const fetched = `fetch("${url}").then(async (it) => console.log(await it.text()), (error) => console.log(error.cause.code))`;
      const beside = await engine.start(spec(pods[0], { name: "beside", command: node(fetched) }));
      expect(await beside.ended).toBe(0);
      return (await beside.log()).trim();
    };
    const endpoints = pods.map(({ address }) => `${address}:8080`);
    services.set([{ address: "10.96.9.9", port: 80, endpoints: endpoints.slice(1) }]);
    expect(await ask("http://127.0.0.1:8080/a")).toBe("one /a");
    expect(await ask("http://10.96.9.9/b")).toBe("two /b");
    // To itself, too, by way of the service.
    services.set([{ address: "10.96.9.9", port: 80, endpoints: endpoints.slice(0, 1) }]);
    expect(await ask("http://10.96.9.9/c")).toBe("one /c");
    services.set([]);
    expect(await ask("http://10.96.9.9/d")).toBe("ECONNREFUSED");
    await Promise.all(containers.map((container) => container.kill()));
    expect(await Promise.all(containers.map(({ ended }) => ended))).toEqual([137, 137]);
  });
});
