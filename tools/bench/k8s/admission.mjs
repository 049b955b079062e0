/** Asks a webhook at a steady rate, whether or not it keeps up, as an API server does: a few connections that stay open. */
import { Agent, request } from "node:https";

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** An application's pod of the usual size, as it is created. */
const podOf = (number) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: {
    generateName: `web-${number}-`,
    namespace: "shop",
    labels: { app: "web", version: "v1", "pod-template-hash": "6d4f9c7b88" },
    annotations: { "prometheus.io/scrape": "true", "prometheus.io/port": "9090", "sidecar.istio.io/proxyCPU": "200m" },
    ownerReferences: [
      { apiVersion: "apps/v1", kind: "ReplicaSet", name: "web-6d4f9c7b88", controller: true, uid: "u" },
    ],
    managedFields: [{ fieldsV1: Object.fromEntries(Array.from({ length: 60 }, (_, at) => [`f:field-${at}`, {}])) }],
  },
  spec: {
    serviceAccountName: "web",
    containers: ["app", "helper"].map((name, at) => ({
      name,
      image: `${name}:1.0`,
      ports: [{ name: "http", containerPort: 8080 + at }],
      env: Array.from({ length: 20 }, (_, one) => ({ name: `SETTING_${one}`, value: `value of setting ${one}` })),
      readinessProbe: { httpGet: { path: "/ready", port: "http" } },
      livenessProbe: { tcpSocket: { port: 8080 + at } },
    })),
    volumes: Array.from({ length: 5 }, (_, at) => ({ name: `volume-${at}`, emptyDir: {} })),
  },
});

/** @returns milliseconds of each answer, from when it was due. Anything but a patch is an error. */
export async function askWebhook({ port, rootPem, perSecond, seconds }) {
  const agent = new Agent({ keepAlive: true, maxSockets: 4, ca: rootPem, servername: "istiod.istio-system.svc" });
  const ask = (number) =>
    new Promise((resolve, reject) => {
      const review = {
        apiVersion: "admission.k8s.io/v1",
        kind: "AdmissionReview",
        request: {
          uid: String(number),
          kind: { kind: "Pod" },
          namespace: "shop",
          operation: "CREATE",
          object: podOf(number),
        },
      };
      const headers = { "content-type": "application/json" };
      const call = request({ host: "127.0.0.1", port, path: "/inject", method: "POST", agent, headers }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part) => {
          text += part;
        });
        response.on("end", () => {
          const { response: answer } = JSON.parse(text);
          if (answer?.allowed === true && answer.patch?.length > 1000) resolve(undefined);
          else reject(new Error(`no patch: ${text.slice(0, 200)}`));
        });
      });
      call.on("error", reject);
      call.end(JSON.stringify(review));
    });
  for (let warm = 0; warm < perSecond; warm++) await ask(warm);
  const began = performance.now();
  const answers = [];
  for (let number = 0; number < perSecond * seconds; number++) {
    const due = began + (number * 1000) / perSecond;
    await pause(Math.max(0, due - performance.now()));
    answers.push(ask(number).then(() => performance.now() - due));
  }
  const latencies = await Promise.all(answers);
  agent.destroy();
  return latencies;
}
