import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { Cluster } from "./cluster.ts";

interface Slice {
  readonly ports: readonly { readonly name: string; readonly port: number }[] | null;
  readonly endpoints:
    | readonly { readonly addresses: readonly [string]; readonly conditions?: { readonly ready?: boolean } }[]
    | null;
}

/** The addresses of Services, as kube-proxy makes them: a connection goes to an endpoint that is ready, and is refused where there is none. */
export class Services {
  readonly #cluster: Cluster;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();

  private constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  static async start(cluster: Cluster): Promise<Services> {
    const services = new Services(cluster);
    for (const { metadata, spec } of await cluster.list("/api/v1/namespaces/istio-system/services")) {
      const { clusterIP = "None", ports } = spec as {
        readonly clusterIP?: string;
        readonly ports: readonly { readonly name: string; readonly port: number }[];
      };
      if (clusterIP === "None") continue;
      for (const { name, port } of ports) await services.#listen(clusterIP, port, metadata.name, name);
    }
    return services;
  }

  async #listen(address: string, port: number, service: string, portName: string): Promise<void> {
    const server = createServer((socket) => {
      this.#sockets.add(socket.once("close", () => this.#sockets.delete(socket)).on("error", () => socket.destroy()));
      void this.#forward(socket, service, portName).catch(() => socket.resetAndDestroy());
    });
    this.#servers.push(server.listen(port, address));
    await once(server, "listening");
  }

  async #forward(socket: Socket, service: string, portName: string): Promise<void> {
    const path = "/apis/discovery.k8s.io/v1/namespaces/istio-system/endpointslices";
    const labelSelector = `kubernetes.io/service-name=${service}`;
    const answer = await this.#cluster.api.request({ method: "GET", path, query: { labelSelector } });
    const places = (answer as { readonly items: readonly Slice[] }).items.flatMap(({ ports, endpoints }) =>
      (endpoints ?? [])
        .filter(({ conditions }) => conditions?.ready !== false)
        .flatMap(({ addresses: [host] }) =>
          (ports ?? []).filter(({ name }) => name === portName).map(({ port }) => ({ host, port })),
        ),
    );
    const place = places[Math.floor(Math.random() * places.length)];
    if (place === undefined) return void socket.resetAndDestroy();
    const upstream = connect(place);
    this.#sockets.add(upstream.once("close", () => this.#sockets.delete(upstream)));
    upstream.on("error", () => socket.resetAndDestroy());
    socket.on("close", () => upstream.destroy());
    upstream.on("close", () => socket.destroy());
    socket.pipe(upstream).pipe(socket);
  }

  close(): void {
    for (const server of this.#servers) server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
