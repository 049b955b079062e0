/** What answers: with path and size of what it got, after as many milliseconds as it is told. It ends when it has answered all. */
const SERVER = `
import http from "node:http";
const server = http.createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url, "http://stock");
  let size = 0;
  request.on("data", (chunk) => { size += chunk.length; });
  request.on("end", () => setTimeout(() => response.end(pathname + " " + size), Number(searchParams.get("ms") ?? 0)));
});
server.listen(Number(process.env.PORT), process.env.HOST);
process.on("SIGTERM", () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
`;

/** `/stock` of the ingress gateway goes there, and so does `/once`, without a second attempt. */
const ROUTES = `
apiVersion: lateen.dev/v1alpha1
kind: LocalRuntime
metadata: { name: stock }
spec:
  images: [{ match: "example.com/stock:*", command: [node, stock.mjs], env: { HOST: "\${HOST}", PORT: "\${PORT}" } }]
---
apiVersion: v1
kind: Service
metadata: { name: stock }
spec: { selector: { app: stock }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: stock }
spec:
  hosts: ["*"]
  gateways: [bookinfo-gateway]
  http:
    - match: [{ uri: { prefix: /once } }]
      retries: { attempts: 0 }
      route: [{ destination: { host: stock } }]
    - match: [{ uri: { prefix: /stock } }]
      route: [{ destination: { host: stock } }]
`;

/** By name, files of a workload `stock` besides {@link stockDeployment}. */
export const stockFiles: Readonly<Record<string, string>> = { "stock.mjs": SERVER, "stock.yaml": ROUTES };

/** Its Deployment; with another `rolled` all its pods are replaced. */
export function stockDeployment(replicas: number, rolled: string): string {
  return `
apiVersion: apps/v1
kind: Deployment
metadata: { name: stock }
spec:
  replicas: ${replicas}
  strategy: { rollingUpdate: { maxSurge: 3 } }
  selector: { matchLabels: { app: stock } }
  template:
    metadata: { labels: { app: stock }, annotations: { rolled: "${rolled}" } }
    spec:
      containers: [{ name: stock, image: "example.com/stock:1", ports: [{ containerPort: 8080 }] }]
`;
}
