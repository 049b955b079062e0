import { ensureService } from "@lateen/services";
import { eventually } from "@lateen/test-support";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Machine, whyNoMachine } from "./harness/machine.ts";
import { emptyMesh, type Mesh } from "./harness/mesh.ts";

const nats = ensureService("nats-server");
const reason = nats.path === undefined ? `nats-server: ${nats.reason}` : whyNoMachine();
const MEMBERS = [0, 1, 2];
const routes = MEMBERS.map((member) => `nats://nats-${member}.nats:6222`).join(",");

const MEMBERS_SET = `apiVersion: apps/v1
kind: StatefulSet
metadata: { name: nats }
spec:
  serviceName: nats
  replicas: ${MEMBERS.length}
  selector: { matchLabels: { app: nats } }
  template:
    metadata: { labels: { app: nats } }
    spec:
      containers:
        - name: nats
          image: nats:2
          ports:
            - { name: tcp-client, containerPort: 4222 }
            - { name: tcp-cluster, containerPort: 6222 }
            - { name: http-monitor, containerPort: 8222 }
`;
/** It listens on the loopback address alone, where only a Sidecar leads. */
const SHY = `apiVersion: apps/v1
kind: Deployment
metadata: { name: shy }
spec:
  selector: { matchLabels: { app: shy } }
  template:
    metadata: { labels: { app: shy } }
    spec:
      containers: [{ name: shy, image: "shy:1", ports: [{ containerPort: 7000 }], readinessProbe: { exec: { command: ["true"] } } }]
---
apiVersion: v1
kind: Service
metadata: { name: shy }
spec: { selector: { app: shy }, ports: [{ name: http, port: 7000 }] }
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: shy }
spec:
  workloadSelector: { labels: { app: shy } }
  ingress: [{ port: { number: 7000, protocol: HTTP, name: http }, defaultEndpoint: "127.0.0.1:7000" }]
`;
const SERVER = `require("node:http").createServer((_, answer) => answer.end("shy")).listen(7000, "127.0.0.1")`;
const RING = [
  MEMBERS_SET,
  SHY,
  `apiVersion: v1
kind: Service
metadata: { name: nats }
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector: { app: nats }
  ports:
    - { name: tcp-client, port: 4222 }
    - { name: tcp-cluster, port: 6222 }
    - { name: http-monitor, port: 8222 }
`,
  `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: istio-system }
spec: { mtls: { mode: STRICT } }
`,
  `apiVersion: lateen.dev/v1alpha1
kind: LocalRuntime
metadata: { name: nats }
spec:
  images:
    - { match: "shy:*", command: ${JSON.stringify([process.execPath, "-e", SERVER])} }
    - match: "nats:*"
      command:
        ["${nats.path}", -p, "4222", -m, "8222", --cluster_name, ring, --cluster, "nats://0.0.0.0:6222", --routes, "${routes}", --server_name, "\${POD_NAME}"]
`,
].join("---\n");

/** NATS speaks first, by the name of each peer, and its members find each other only if both ends of every connection work. */
describe.skipIf(reason !== "")(
  `a ring of NATS servers under STRICT${reason === "" ? "" : ` (not here: ${reason})`}`,
  () => {
    let machine: Machine;
    let mesh: Mesh;
    beforeAll(async () => {
      machine = await Machine.create();
      mesh = await emptyMesh({ "ring.yaml": RING }, machine.prefix);
      await mesh.up("--capture", "netns", "--timeout", "120s");
    }, 180_000);
    afterAll(async () => {
      await mesh?.down();
      machine?.close();
    });

    const inMesh = (...argv: readonly string[]) =>
      mesh.lateen("run", "--service", "visitor", "--port", "8080", "--", ...argv);

    it.each(MEMBERS)("member %d is connected to both others", async (index) => {
      const peers = await eventually(
        "two routes",
        async () => {
          const { stdout } = await inMesh("curl", "-sS", "-m", "20", `http://nats-${index}.nats:8222/routez`);
          const { routes: found = [] } = JSON.parse(stdout) as { routes?: readonly { remote_name?: string }[] };
          const names = [...new Set(found.map(({ remote_name }) => remote_name))].sort();
          return names.length === 2 ? names : undefined;
        },
        120_000,
      );
      expect(peers).toEqual(MEMBERS.filter((other) => other !== index).map((other) => `nats-${other}`));
    });

    it("a client is greeted by the server, by the name of the service", async () => {
      const client =
        'require("node:net").connect(4222, "nats").once("data", (text) => { console.log(String(text).slice(0, 5)); process.exit() })';
      expect((await inMesh(process.execPath, "-e", client)).stdout.trim()).toBe("INFO");
    });

    it("an application on the loopback address is found where a Sidecar says that it is", async () => {
      expect((await inMesh("curl", "-sS", "-m", "20", "http://shy:7000/")).stdout).toBe("shy");
    });

    it("nobody outside the mesh gets in", async () => {
      const { address } = await mesh.pod("nats");
      const { code } = await machine.run("curl", "-sS", "-m", "20", `http://${address}:8222/routez`);
      expect(code).not.toBe(0);
    });
  },
);
