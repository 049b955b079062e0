/** A light delta ADS client over real gRPC and TLS: it reads names, not resources, so that hundreds fit beside the process under test. */
import { connect } from "node:http2";
import { gunzipSync } from "node:zlib";
import { DeltaDiscoveryRequest } from "@lateen/proto/envoy/service/discovery/v3/discovery";

const TYPES = {
  cds: "type.googleapis.com/envoy.config.cluster.v3.Cluster",
  eds: "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
  lds: "type.googleapis.com/envoy.config.listener.v3.Listener",
  rds: "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
  nds: "type.googleapis.com/istio.networking.nds.v1.NameTable",
};
/** Windows as large as Envoy's. */
const WINDOW = 16 * 1024 * 1024;
const ROUTES = ["8080"];

export const now = () => Number(process.hrtime.bigint()) / 1e6;

/** @param {Partial<import("@lateen/proto/envoy/service/discovery/v3/discovery").DeltaDiscoveryRequest>} request */
function frame(request) {
  const body = DeltaDiscoveryRequest.encode(DeltaDiscoveryRequest.fromPartial(request)).finish();
  const framed = Buffer.allocUnsafe(body.length + 5);
  framed[0] = 0;
  framed.writeUInt32BE(body.length, 1);
  framed.set(body, 5);
  return framed;
}

/** Reads the fields of one protobuf message: tag, start and end of its content. */
function* fields(bytes, from = 0, to = bytes.length) {
  let at = from;
  const varint = () => {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * shift;
      if (byte < 128) return value;
    }
  };
  while (at < to) {
    const tag = varint();
    if ((tag & 7) === 0) {
      varint();
      continue;
    }
    const length = varint();
    yield { field: tag >> 3, start: at, end: at + length };
    at += length;
  }
}

/** @param {Buffer} bytes a DeltaDiscoveryResponse */
function read(bytes) {
  const response = { typeUrl: "", nonce: "", resources: [], removed: 0 };
  for (const { field, start, end } of fields(bytes)) {
    if (field === 2) response.resources.push({ start, end });
    else if (field === 4) response.typeUrl = bytes.latin1Slice(start, end);
    else if (field === 5) response.nonce = bytes.latin1Slice(start, end);
    else if (field === 6) response.removed++;
  }
  return response;
}

/** Name and version of a resource in a response. */
function identity(bytes, { start, end }) {
  let name = "";
  let version = "";
  for (const part of fields(bytes, start, end)) {
    if (part.field === 1) version = bytes.latin1Slice(part.start, part.end);
    else if (part.field === 3) name = bytes.latin1Slice(part.start, part.end);
  }
  return { name, version };
}

/** Messages that many clients send alike are encoded once. */
export class Shared {
  #frames = new Map();
  /** Namespace → type → name → version, of the first client of each namespace. */
  versions = new Map();

  subscription(namespace, typeUrl, names, initialResourceVersions = {}) {
    const key = `${namespace} ${typeUrl} ${names.length} ${names[0]} ${names.at(-1)} ${Object.keys(initialResourceVersions).length}`;
    let framed = this.#frames.get(key);
    if (framed === undefined) {
      framed = frame({ typeUrl, resourceNamesSubscribe: names, initialResourceVersions });
      this.#frames.set(key, framed);
    }
    return framed;
  }

  forget() {
    this.#frames.clear();
  }
}

export class AdsClient {
  /** @param {{ port: number, rootPem: string, keyPem: string, certPem: string, node: object, namespace: string, shared: Shared, reference: boolean, gzip: boolean }} options */
  constructor(options) {
    this.options = options;
    this.reset();
  }

  reset() {
    this.bytes = 0;
    this.responses = 0;
    this.attempts = 0;
    this.clusters = new Set();
    this.endpoints = 0;
    this.ackedTypes = new Set();
    /** `{ type, at, sequences }` of each response while recording. */
    this.record = undefined;
    /** Service name → highest sequence number seen in its endpoints. */
    this.failure = undefined;
  }

  /** Opens the stream; with `versions` it claims what the reference client of its namespace holds. */
  open(withVersions = false) {
    const { port, rootPem, keyPem, certPem, node, namespace, shared, gzip } = this.options;
    this.session = connect(`https://127.0.0.1:${port}`, {
      ca: rootPem,
      key: keyPem,
      cert: certPem,
      servername: "istiod.istio-system.svc",
      settings: { initialWindowSize: WINDOW, enablePush: false },
    });
    const failed = (reason) => {
      if (session !== this.session) return;
      if (this.responses > 0 || ++this.attempts > 20) this.failure ??= reason;
      // As proxies do; a server that compiles its first tables may not get to all handshakes in time.
      else setTimeout(() => session === this.session && this.open(withVersions), 250);
    };
    const { session } = this;
    session.on("error", (error) => failed(error.message));
    this.session.once("connect", (session) => session.setLocalWindowSize(WINDOW));
    this.stream = this.session.request({
      ":method": "POST",
      ":path": "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
      "content-type": "application/grpc",
      te: "trailers",
      ...(gzip ? { "grpc-accept-encoding": "identity,gzip" } : {}),
    });
    let status = "";
    this.stream.on("error", () => {});
    this.stream.on("trailers", (trailers) => {
      status = `: ${trailers["grpc-status"]} ${trailers["grpc-message"] ?? ""}`;
    });
    this.stream.on("end", () => setImmediate(() => failed(`the server ended the stream${status}`)));
    this.#receive(this.stream);
    const claims = withVersions ? shared.versions.get(namespace) : undefined;
    const held = (type) => Object.fromEntries(claims?.get(type) ?? []);
    this.stream.write(frame({ node, typeUrl: TYPES.cds, initialResourceVersions: held(TYPES.cds) }));
    this.stream.write(shared.subscription(namespace, TYPES.nds, [], held(TYPES.nds)));
    if (claims === undefined) {
      this.stream.write(frame({ typeUrl: TYPES.lds }));
      return;
    }
    const endpoints = held(TYPES.eds);
    this.stream.write(shared.subscription(namespace, TYPES.eds, Object.keys(endpoints), endpoints));
    this.stream.write(shared.subscription(namespace, TYPES.lds, [], held(TYPES.lds)));
    this.stream.write(shared.subscription(namespace, TYPES.rds, ROUTES, held(TYPES.rds)));
  }

  close() {
    const { session } = this;
    this.session = undefined;
    session?.destroy();
  }

  /** It holds everything it asks for. */
  get synced() {
    return (
      this.clusters.size > 0 &&
      this.endpoints >= this.clusters.size &&
      [TYPES.cds, TYPES.lds, TYPES.rds, TYPES.nds].every((type) => this.ackedTypes.has(type))
    );
  }

  #receive(stream) {
    let chunks = [];
    let size = 0;
    stream.on("data", (chunk) => {
      this.bytes += chunk.length;
      chunks.push(chunk);
      size += chunk.length;
      while (size >= 5) {
        if (chunks[0].length < 5) chunks = [Buffer.concat(chunks)];
        const length = chunks[0].readUInt32BE(1);
        if (size < length + 5) return;
        const all = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
        const body = all.subarray(5, length + 5);
        const message = all[0] === 1 ? gunzipSync(body) : body;
        const rest = all.subarray(length + 5);
        chunks = rest.length > 0 ? [rest] : [];
        size = rest.length;
        this.#answer(message);
      }
    });
  }

  #answer(bytes) {
    const response = read(bytes);
    const { typeUrl } = response;
    const first = !this.ackedTypes.has(typeUrl);
    this.responses++;
    if (this.options.reference) this.#learn(bytes, response);
    if (typeUrl === TYPES.eds) this.endpoints += response.resources.length;
    this.stream.write(frame({ typeUrl, responseNonce: response.nonce }));
    this.ackedTypes.add(typeUrl);
    this.lastAck = now();
    if (typeUrl === TYPES.cds) this.#warm(bytes, response);
    if (typeUrl === TYPES.lds && first)
      this.stream.write(this.options.shared.subscription(this.options.namespace, TYPES.rds, ROUTES));
    this.record?.push({ typeUrl, at: this.lastAck, addresses: this.#addresses(bytes, response) });
  }

  #learn(bytes, { typeUrl, resources }) {
    const { shared, namespace } = this.options;
    const types = shared.versions.get(namespace) ?? new Map();
    shared.versions.set(namespace, types);
    const versions = types.get(typeUrl) ?? new Map();
    types.set(typeUrl, versions);
    for (const resource of resources) {
      const { name, version } = identity(bytes, resource);
      versions.set(name, version);
    }
  }

  /** Asks for the endpoints of clusters it did not know, as Envoy does. */
  #warm(bytes, { resources }) {
    const names = resources
      .map((resource) => identity(bytes, resource).name)
      .filter((name) => name.startsWith("outbound|") && !this.clusters.has(name));
    for (const name of names) this.clusters.add(name);
    if (names.length > 0) this.stream.write(this.options.shared.subscription(this.options.namespace, TYPES.eds, names));
  }

  /** Sequence numbers in the addresses of small endpoint responses. */
  #addresses(bytes, { typeUrl, resources }) {
    if (this.record === undefined || typeUrl !== TYPES.eds) return [];
    return resources.map(({ start, end }) => {
      let highest = 0;
      for (const [, a, b, c] of bytes.latin1Slice(start, end).matchAll(/\b11\.(\d+)\.(\d+)\.(\d+)/g))
        highest = Math.max(highest, Number(a) * 65_536 + Number(b) * 256 + Number(c));
      return highest;
    });
  }
}
