import { createServer as createHttp, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createHttps } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { createTestCa } from "../certificates/test-ca.ts";
import { Admission, type ReachService } from "./admission.ts";
import { type ApiFailure, ApiObjects, failure } from "./api-objects.ts";
import { Lists } from "./lists.ts";
import { type ApiRequest, requestOf } from "./requests.ts";
import { type ApiResource, BUILT_IN, resourceId } from "./resource-table.ts";
import { type Json, Storage, type StoredObject } from "./storage.ts";
import { Watches } from "./watches.ts";

/** What answers instead of the API server. */
export type Fault =
  | { readonly status: number; readonly body?: string; readonly headers?: Readonly<Record<string, string>> }
  /** Answers nothing, with the connection open. */
  | "hang"
  | "reset";

/** Who a token of a TokenReview is. */
export interface ReviewedUser {
  readonly username: string;
  readonly audiences: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

export interface ApiServerOptions {
  /** Address to listen on. Default: the loopback. Its certificate is of `localhost` and `kubernetes.default.svc`. */
  readonly host?: string;
  /** Default: over HTTPS with a CA of its own. */
  readonly plaintext?: boolean;
  /** Client certificates of this CA are accepted instead of a token. */
  readonly clientCa?: string;
  /** Milliseconds between bookmarks. Default 1000. */
  readonly bookmarkMs?: number;
  /** How it reaches the services of webhooks. Without it their configurations are objects like any others. */
  readonly reach?: ReachService;
  /** Resources besides the built-in ones. */
  readonly resources?: readonly ApiResource[];
}

/**
 * A Kubernetes API server in this process, for tests: lists with pages, watches with bookmarks and compaction, optimistic concurrency,
 * status subresources, merge patches, TokenReview, admission webhooks. It validates nothing itself and runs no controllers.
 */
export interface TestApiServer {
  readonly url: string;
  readonly port: number;
  /** Trust this; empty when it speaks plain HTTP. */
  readonly caPem: string;
  /** Accepted bearer tokens. One is in it from the start. */
  readonly tokens: Set<string>;
  readonly storage: Storage;
  /** Requests so far, oldest first. */
  readonly requests: readonly ApiRequest[];
  /** Open watches. */
  readonly watches: number;
  /** Creates or replaces objects, whatever webhooks say; their versions are new. */
  apply(...objects: readonly Json[]): readonly StoredObject[];
  /** Creates an object as a client that may do so: webhooks are asked. @throws ApiFailure when it is refused. */
  create(object: Json): Promise<StoredObject>;
  delete(apiVersion: string, kind: string, name: string, namespace?: string): void;
  get(apiVersion: string, kind: string, name: string, namespace?: string): StoredObject | undefined;
  /** Adds a resource, as a CRD does; or takes it away with all its objects. */
  install(resource: ApiResource): void;
  uninstall(resource: ApiResource): void;
  /** Answers what `decide` wants until the returned function is called. */
  fault(decide: (request: ApiRequest) => Fault | undefined): () => void;
  /** Requests that it refuses with 403. Default: none. */
  authorize: ((request: ApiRequest) => boolean) | undefined;
  /** Tokens that a TokenReview knows. */
  readonly reviewed: Map<string, ReviewedUser>;
  /** Makes all versions until now too old; watches go on. */
  compact(): void;
  /** Breaks off watches. */
  endWatches(how: "close" | "reset" | "expired"): void;
  /** A kubeconfig for it. */
  kubeconfig(user?: Json): string;
  /** Closes all connections and the port; a later start takes the same port. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** Starts one on a free port. */
export async function startApiServer(options: ApiServerOptions = {}): Promise<TestApiServer> {
  const server = new LoopbackApiServer(options);
  await server.start();
  return server;
}

class LoopbackApiServer implements TestApiServer {
  readonly caPem: string;
  readonly tokens = new Set(["test-token"]);
  readonly storage = new Storage();
  readonly requests: ApiRequest[] = [];
  readonly reviewed = new Map<string, ReviewedUser>();
  authorize: ((request: ApiRequest) => boolean) | undefined;
  readonly #options: ApiServerOptions;
  readonly #tls: { readonly cert: string; readonly key: string } | undefined;
  readonly #resources = new Map<string, ApiResource>();
  readonly #faults = new Set<(request: ApiRequest) => Fault | undefined>();
  readonly #objects = new ApiObjects(this.storage);
  readonly #lists = new Lists(this.storage);
  readonly #admission: Admission | undefined;
  readonly #watches: Watches;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;

  constructor(options: ApiServerOptions) {
    this.#options = options;
    const ca = options.plaintext === true ? undefined : createTestCa("kubernetes");
    this.caPem = ca?.rootPem ?? "";
    const certificate = ca?.issue({ dns: ["localhost", "kubernetes.default.svc"] });
    this.#tls = certificate && { cert: certificate.certPem, key: certificate.keyPem };
    this.#admission = options.reach && new Admission(this.storage, options.reach);
    this.#watches = new Watches(this.storage, options.bookmarkMs ?? 1000);
    for (const resource of [...BUILT_IN, ...(options.resources ?? [])]) this.install(resource);
  }

  get url(): string {
    return `${this.#tls === undefined ? "http" : "https"}://localhost:${this.port}`;
  }

  get port(): number {
    return this.#port;
  }

  get watches(): number {
    return this.#watches.size;
  }

  apply(...objects: readonly Json[]): readonly StoredObject[] {
    return objects.map((object) => {
      const resource = this.#resourceOf(String(object.apiVersion), String(object.kind));
      return this.#objects.apply(resource, object);
    });
  }

  async create(object: Json): Promise<StoredObject> {
    const { apiVersion, kind, metadata } = object as unknown as StoredObject;
    const resource = this.#resourceOf(apiVersion, kind);
    const { namespace } = metadata;
    const version = apiVersion.slice(apiVersion.indexOf("/") + 1);
    const place = { version, namespace, name: undefined, subresource: undefined };
    const request = { ...CREATE, ...place, group: resource.group, plural: resource.plural, body: object };
    return this.#objects.done(resource, await this.#admitted(resource, request));
  }

  delete(apiVersion: string, kind: string, name: string, namespace?: string): void {
    const resource = this.#resourceOf(apiVersion, kind);
    this.storage.remove(resourceId(resource), this.#objects.nameOf(resource, namespace, name));
  }

  get(apiVersion: string, kind: string, name: string, namespace?: string): StoredObject | undefined {
    const resource = this.#resourceOf(apiVersion, kind);
    return this.storage.get(resourceId(resource), this.#objects.nameOf(resource, namespace, name));
  }

  install(resource: ApiResource): void {
    this.#resources.set(resourceId(resource), resource);
  }

  uninstall(resource: ApiResource): void {
    this.#resources.delete(resourceId(resource));
    this.storage.drop(resourceId(resource));
    this.#watches.endAll("close");
  }

  fault(decide: (request: ApiRequest) => Fault | undefined): () => void {
    this.#faults.add(decide);
    return () => void this.#faults.delete(decide);
  }

  compact(): void {
    this.storage.compact();
  }

  endWatches(how: "close" | "reset" | "expired"): void {
    this.#watches.endAll(how);
  }

  kubeconfig(user: Json = { token: [...this.tokens][0] }): string {
    const cluster = {
      server: this.url,
      ...(this.caPem === "" ? {} : { "certificate-authority-data": Buffer.from(this.caPem).toString("base64") }),
    };
    return JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      "current-context": "test",
      clusters: [{ name: "test", cluster }],
      users: [{ name: "test", user }],
      contexts: [{ name: "test", context: { cluster: "test", user: "test", namespace: "istio-system" } }],
    });
  }

  async start(): Promise<void> {
    const handle = (message: IncomingMessage, response: ServerResponse) => void this.#handle(message, response);
    const { clientCa } = this.#options;
    const trust = clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: false };
    const server: Server =
      this.#tls === undefined
        ? createHttp(handle)
        : (createHttps({ ...this.#tls, ...trust }, handle) as unknown as Server);
    server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.#port, this.#options.host ?? "localhost", resolve);
    });
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    this.#watches.endAll("reset");
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #resourceOf(apiVersion: string, kind: string): ApiResource {
    const group = apiVersion.includes("/") ? (apiVersion.split("/")[0] ?? "") : "";
    const found = [...this.#resources.values()].find((one) => one.group === group && one.kind === kind);
    if (found === undefined) throw new Error(`no resource for ${apiVersion} ${kind}`);
    return found;
  }

  async #handle(message: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on("error", () => undefined);
    try {
      const request = await requestOf(message);
      this.requests.push(request);
      if (this.#faulty(request, message, response)) return;
      this.#admit(request, message);
      if (request.path === "/apis/authentication.k8s.io/v1/tokenreviews") send(response, 201, this.#review(request));
      else await this.#serve(request, response);
    } catch (error) {
      const { status, reason, message: text } = error as ApiFailure;
      if (typeof status !== "number") throw error;
      send(response, status, {
        kind: "Status",
        apiVersion: "v1",
        status: "Failure",
        message: text,
        reason,
        code: status,
      });
    }
  }

  #faulty(request: ApiRequest, message: IncomingMessage, response: ServerResponse): boolean {
    for (const decide of this.#faults) {
      const fault = decide(request);
      if (fault === undefined) continue;
      if (fault === "reset") message.socket.destroy();
      else if (fault !== "hang") {
        response.writeHead(fault.status, { "content-type": "text/plain", ...fault.headers });
        response.end(fault.body ?? "");
      }
      return true;
    }
    return false;
  }

  #admit(request: ApiRequest, message: IncomingMessage): void {
    const socket = message.socket as Socket & { readonly authorized?: boolean };
    const token = request.token;
    const known = token === undefined ? socket.authorized === true : this.tokens.has(token);
    if (!known) throw failure(401, "Unauthorized", "Unauthorized");
    if (this.authorize !== undefined && !this.authorize(request)) {
      throw failure(
        403,
        "Forbidden",
        `cannot ${request.verb} resource "${request.plural}" in API group "${request.group}"`,
      );
    }
  }

  async #serve(request: ApiRequest, response: ServerResponse): Promise<void> {
    const resource = this.#resources.get(resourceId(request));
    if (resource === undefined || !resource.versions.includes(request.version)) {
      throw failure(404, "NotFound", "the server could not find the requested resource");
    }
    if (request.verb === "watch") this.#watches.serve(resource, request, response);
    else if (request.verb === "list") send(response, 200, this.#lists.answer(resource, request));
    else {
      const admitted = await this.#admitted(resource, request);
      send(response, request.verb === "create" ? 201 : 200, this.#objects.answer(resource, admitted));
    }
  }

  /** The request as webhooks leave it. */
  async #admitted(resource: ApiResource, request: ApiRequest): Promise<ApiRequest> {
    if (this.#admission === undefined || request.verb === "get") return request;
    const { version, subresource, namespace, name } = request;
    const before = this.#objects.before(resource, request);
    const wanted = this.#objects.wanted(resource, request);
    const operation = request.verb === "delete" ? "DELETE" : request.verb === "create" ? "CREATE" : "UPDATE";
    const place = { operation, resource, version, subresource, namespace, name } as const;
    const body = await this.#admission.admit({ ...place, object: wanted, oldObject: before });
    // What a patch comes to has been seen: that is what is written.
    return body === undefined
      ? request
      : { ...request, verb: request.verb === "patch" ? "update" : request.verb, body };
  }

  #review({ body }: ApiRequest): Json {
    const { token = "", audiences = [] } = (body?.spec ?? {}) as { token?: string; audiences?: readonly string[] };
    const user = this.reviewed.get(token);
    const shared = user?.audiences.filter((audience) => audiences.includes(audience)) ?? [];
    const authenticated = user !== undefined && shared.length > 0;
    const { username, extra } = user ?? {};
    const status = authenticated
      ? { authenticated, audiences: shared, user: { username, extra } }
      : { authenticated: false, error: "token is not valid" };
    return { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", metadata: {}, spec: body?.spec, status };
  }
}

/** Of a request that comes from no client. */
const CREATE: Omit<ApiRequest, "group" | "version" | "plural" | "subresource" | "namespace" | "name" | "body"> = {
  ...{ method: "POST", path: "", query: new URLSearchParams(), token: undefined },
  ...{ verb: "create", metadataOnly: false, contentType: "application/json" },
};

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(`${JSON.stringify(body)}\n`);
}
