import { decodeText, type Resource } from "@lateen/mesh-model";
import type { RegistryObject } from "@lateen/ports";

/** Objects of YAML documents. @throws when one cannot be read. */
export function objectsOf(yaml: string): readonly Resource[] {
  return decodeText({ file: "test.yaml", text: yaml }).map((document) => {
    if (document.ok) return document.object;
    throw new Error(document.diagnostics.map(({ message }) => message).join("; "));
  });
}

/** A pod of `app` with a sidecar, ready at the address. */
export function pod(app: string, namespace: string, address: string): RegistryObject {
  const [object] = objectsOf(`
apiVersion: v1
kind: Pod
metadata:
  name: ${app}-1
  namespace: ${namespace}
  labels: { app: ${app}, security.istio.io/tlsMode: istio }
spec:
  serviceAccountName: ${app}
  containers: [{ name: app, image: app, ports: [{ containerPort: 8080 }] }]
status:
  podIP: ${address}
  conditions: [{ type: Ready, status: "True" }]
`);
  if (object?.kind !== "Pod") throw new Error("not a pod");
  return object;
}

/** An HTTP service on port 80 for the pods of `app`. */
export function service(app: string, namespace: string, clusterIp: string): Resource {
  const [object] = objectsOf(`
apiVersion: v1
kind: Service
metadata: { name: ${app}, namespace: ${namespace} }
spec:
  clusterIP: ${clusterIp}
  selector: { app: ${app} }
  ports: [{ name: http, port: 80, targetPort: 8080 }]
`);
  if (object === undefined) throw new Error("no service");
  return object;
}
