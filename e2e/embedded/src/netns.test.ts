import { type ChildProcess, spawnSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { eventually } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Machine, whyNoMachine } from "./harness/machine.ts";
import { type Mesh, prepareMesh } from "./harness/mesh.ts";

const reason = whyNoMachine();
const DETAILS = "http://details:9080/details/0";
const has = (...argv: readonly string[]): boolean => spawnSync(argv[0] ?? "", argv.slice(1)).status === 0;

/** Programs that know nothing of a mesh: no proxy variables, no addresses handed to them. */
const PROGRAMS: readonly { readonly name: string; readonly there: boolean; readonly argv: readonly string[] }[] = [
  { name: "curl", there: has("curl", "--version"), argv: ["curl", "-sS", DETAILS] },
  {
    name: "python3",
    there: has("/usr/bin/python3", "--version"),
    argv: [
      "/usr/bin/python3",
      "-c",
      `import urllib.request; print(urllib.request.urlopen("${DETAILS}", timeout=60).read().decode())`,
    ],
  },
  {
    name: "node",
    there: true,
    argv: [process.execPath, "-e", `fetch("${DETAILS}").then((answer) => answer.text()).then(console.log)`],
  },
  {
    name: "java",
    there: has("jshell", "--version"),
    argv: [
      "sh",
      "-c",
      `echo 'System.out.print(new String(new java.net.URL("${DETAILS}").openStream().readAllBytes()))' | jshell -s -`,
    ],
  },
];

/** A mesh whose pods are network namespaces, on a machine of its own. */
describe.skipIf(reason !== "")(`capture by network namespaces${reason === "" ? "" : ` (not here: ${reason})`}`, () => {
  let machine: Machine;
  let mesh: Mesh;
  let outside: ChildProcess;
  beforeAll(async () => {
    machine = await Machine.create();
    mesh = await prepareMesh({}, machine.prefix);
    outside = await machine.startOutside(
      process.execPath,
      "-e",
      `require("node:http").createServer((_, answer) => answer.end("outside")).listen(7070, "${machine.outside}", () => console.log("ready"))`,
    );
    await mesh.up("--capture", "netns", "--timeout", "120s");
  }, 180_000);
  afterAll(async () => {
    await mesh?.down();
    outside?.kill();
    machine?.close();
  });

  /** One request from the machine, outside the mesh. */
  const curl = (...args: readonly string[]) => machine.run("curl", "-sS", "-m", "20", ...args);
  const status = async (url: string): Promise<string> =>
    (await curl("-o", "/dev/null", "-w", "%{http_code}", url)).stdout;
  /** Runs a command as a pod of the mesh. */
  const inMesh = (...argv: readonly string[]) =>
    mesh.lateen("run", "--service", "visitor", "--port", "8080", "--", ...argv);

  it("serves the sample to the machine, each pod at an address of its own", async () => {
    expect(await status(mesh.url("/productpage"))).toBe("200");
    const { workloads } = await mesh.status();
    expect(workloads).toHaveLength(6);
    for (const { address, ports } of workloads) {
      expect(address).toMatch(/^100\./);
      // The application has the port to itself: nothing else could take it, and nothing else listens for it.
      expect(ports).toEqual([{ container: 9080, sidecar: 9080, private: 9080 }]);
    }
  });

  it.each(PROGRAMS.filter(({ there }) => there))("$name reaches a service by its name", async ({ argv }) => {
    const { stdout, stderr } = await inMesh(...argv);
    expect(`${stdout}${stderr}`).toContain('"author"');
  });

  it.each([
    ["its name in the namespace", "details", "STREAM details.default.svc.cluster.local"],
    ["name and namespace", "details.default", "STREAM"],
    ["its full name", "details.default.svc.cluster.local", "STREAM"],
  ])("answers DNS for %s", async (_what, name, expected) => {
    const { stdout } = await inMesh("getent", "ahosts", name);
    expect(stdout).toMatch(/^10\.(9[6-9]|1[01]\d)\./);
    expect(stdout).toContain(expected);
  });

  it("refuses at once what no service listens on, also at a service's address", async () => {
    const { code, stderr } = await inMesh("curl", "-sS", "-m", "30", "http://details:9999/");
    expect([code, stderr]).toEqual([expect.toBeOneOf([7, 52, 56]), expect.not.stringContaining("timed out")]);
  });

  it("keeps an application from taking its traffic out of the mesh", async () => {
    const { stderr } = await inMesh("iptables", "-t", "nat", "-F");
    expect(stderr).toMatch(/not permitted|denied/i);
  });

  it("takes plaintext from outside the mesh until mutual TLS is demanded", async () => {
    const { address } = await mesh.pod("details-v1");
    const url = `http://${address}:9080/details/0`;
    expect(await status(url)).toBe("200");
    await mesh.rule("strict-mtls");
    await eventually("plaintext is refused", async () => ((await status(url)) === "000" ? true : undefined), 60_000);
    expect((await inMesh("curl", "-sS", DETAILS)).stdout).toContain('"author"');
    expect(await status(mesh.url("/productpage"))).toBe("200");
  });

  it("lets only registered hosts out when that is demanded", async () => {
    const unknown = `http://${machine.outside}:7070/`;
    expect((await inMesh("curl", "-sS", "-m", "20", unknown)).stdout).toBe("outside");
    await mesh.write(
      "rule.yaml",
      `${registryOnly}---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: catalogue }
spec:
  hosts: [catalogue.example.com]
  ports: [{ number: 80, name: http, protocol: HTTP }]
  resolution: STATIC
  endpoints: [{ address: ${machine.outside}, ports: { http: 7070 } }]
`,
    );
    await eventually(
      "the registered host answers",
      async () =>
        (await inMesh("curl", "-sS", "-m", "20", "http://catalogue.example.com/")).stdout === "outside"
          ? true
          : undefined,
      90_000,
    );
    const refused = await inMesh("curl", "-sS", "-m", "20", unknown);
    expect([refused.stdout, refused.code]).toEqual(["", expect.toBeOneOf([7, 52, 56])]);
  });

  it("shows a proxy's configuration, which only its own pod and we can reach", async () => {
    expect(await mesh.ok("proxy-config", "cluster", "productpage-v1")).toContain("details.default.svc.cluster.local");
    const { address } = await mesh.pod("productpage-v1");
    expect(await status(`http://${address}:15000/config_dump`)).not.toBe("200");
  });

  it("leaves nothing behind, even when it is killed", async () => {
    const links = async () => (await machine.run("ip", "-brief", "link")).stdout;
    expect(await links()).toContain("lateen");
    const { pid } = JSON.parse(await readFile(join(mesh.state, "mesh.json"), "utf8")) as { pid: number };
    process.kill(pid, "SIGKILL");
    await eventually(
      "the network is gone",
      async () => ((await links()).includes("lateen") ? undefined : true),
      60_000,
    );
    await mesh.up("--capture", "netns", "--timeout", "120s");
    expect(await status(mesh.url("/productpage"))).toBe("200");
  });
});

const registryOnly = `apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: default }
spec:
  outboundTrafficPolicy: { mode: REGISTRY_ONLY }
  egress: [{ hosts: ["./*", "istio-system/*"] }]
`;
