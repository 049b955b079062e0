import { type BrotliCompress, constants, createBrotliCompress, createGzip, type Gzip } from "node:zlib";
import type {
  BodyTransform,
  BodyTransformSink,
  Exchange,
  FilterContext,
  HttpFilter,
  HttpFilterRuntime,
  Verdict,
} from "@lateen/proxy";
import { headerReader } from "../common/descriptors.ts";
import { type Candidate, chooseEncoding } from "./accept-encoding.ts";
import { COMPRESSOR, type CompressorConfig, type CompressorRouteConfig } from "./config.ts";

/** Compresses responses for clients that take it. @see envoy.extensions.filters.http.compressor.v3.Compressor */
export const compressorRuntime: HttpFilterRuntime<CompressorConfig> = {
  name: COMPRESSOR,
  create: (config: CompressorConfig, context: FilterContext): HttpFilter => new CompressorFilter(config, context),
};

/** What the compressors of a chain know of one exchange together. */
interface Choice {
  readonly accepted: string | undefined;
  readonly candidates: {
    readonly encoding: string;
    readonly chooseFirst: boolean;
    readonly types: ReadonlySet<string>;
  }[];
}

const ACCEPT_ENCODING = headerReader("accept-encoding");

class CompressorFilter implements HttpFilter {
  readonly #config: CompressorConfig;
  readonly #context: FilterContext;
  readonly #types: ReadonlySet<string>;
  /** Key of what all compressors share in an exchange. */
  readonly #shared: object;
  readonly #slots: { readonly compressed: number; readonly not: number };

  constructor(config: CompressorConfig, context: FilterContext) {
    this.#config = config;
    this.#context = context;
    this.#types = new Set(config.contentTypes);
    this.#shared = context.shared(COMPRESSOR, () => ({}));
    const labels = { envoy_compressor_library: config.library.kind };
    this.#slots = context.shared(`${COMPRESSOR} ${config.library.kind}`, () => ({
      compressed: context.stats.counter("envoy_http_compressor_compressed", labels),
      not: context.stats.counter("envoy_http_compressor_not_compressed", labels),
    }));
  }

  onRequestHead(exchange: Exchange): Verdict {
    const route = this.#route(exchange);
    if (!this.#config.enabled || route?.disabled === true) return "continue";
    let choice = exchange.state(this.#shared) as Choice | undefined;
    if (choice === undefined) {
      choice = { accepted: ACCEPT_ENCODING(exchange), candidates: [] };
      exchange.setState(this.#shared, choice);
    }
    const { library, chooseFirst, removeAcceptEncoding } = this.#config;
    choice.candidates.push({ encoding: library.kind, chooseFirst, types: this.#types });
    if (route?.removeAcceptEncoding ?? removeAcceptEncoding) exchange.requestEdits.remove("accept-encoding");
    return "continue";
  }

  onResponseHead(exchange: Exchange): void {
    const choice = exchange.state(this.#shared) as Choice | undefined;
    if (choice === undefined || !this.#config.enabled || this.#route(exchange)?.disabled === true) return;
    const edits = exchange.responseEdits;
    const type = edits.textOf("content-type")?.split(";", 1).join("").trim().toLowerCase();
    if (!this.#isCompressible(exchange, type)) {
      this.#context.stats.add(this.#slots.not, 1);
      return;
    }
    const fitting: Candidate[] = choice.candidates.filter(({ types }) => type === undefined || types.has(type));
    if (hasBody(exchange) && chooseEncoding(choice.accepted, fitting) === this.#config.library.kind) {
      const etag = edits.textOf("etag");
      // What a strong validator stands for is not sent any more.
      if (etag !== undefined && etag.length > 2 && !/^w\//i.test(etag)) edits.remove("etag");
      edits.set("content-encoding", this.#config.library.kind);
      exchange.transformResponse((sink) => new Compression(this.#config.library, sink));
      this.#context.stats.add(this.#slots.compressed, 1);
    } else this.#context.stats.add(this.#slots.not, 1);
    // Also those who get it as it is come by a cache that must know.
    const vary = edits.textOf("vary");
    if (vary === undefined || vary === "") edits.set("vary", "Accept-Encoding");
    else if (!/(^|,)\s*(accept-encoding|\*)\s*(,|$)/i.test(vary)) edits.set("vary", `${vary}, Accept-Encoding`);
  }

  #route(exchange: Exchange): CompressorRouteConfig | undefined {
    return exchange.routeConfig(this.#context.configName) as CompressorRouteConfig | undefined;
  }

  #isCompressible(exchange: Exchange, type: string | undefined): boolean {
    const { responseEdits: edits, responseLength } = exchange;
    const transferEncoding = edits.textOf("transfer-encoding")?.toLowerCase() ?? "";
    const length = Number(edits.textOf("content-length") ?? responseLength);
    const longEnough = Number.isNaN(length)
      ? isHead(exchange) || transferEncoding.includes("chunked")
      : length >= this.#config.minBytes;
    return (
      longEnough &&
      !/gzip|deflate/.test(transferEncoding) &&
      (type === undefined || this.#types.has(type)) &&
      !/(^|,)\s*no-transform\s*(,|$)/i.test(edits.textOf("cache-control") ?? "") &&
      !(this.#config.disableOnEtag && edits.textOf("etag") !== undefined) &&
      edits.textOf("content-encoding") === undefined
    );
  }
}

function hasBody(exchange: Exchange): boolean {
  const { responseLength } = exchange;
  return responseLength !== "none" && responseLength !== 0 && !isHead(exchange);
}

/** The head says what a GET would be answered with; how that would be framed need not be in it. */
function isHead({ request }: Exchange): boolean {
  return request.text(request.methodStart, request.methodEnd) === "HEAD";
}

/** Input that may wait in the compressor before the upstream has to. */
const MAX_WAITING_BYTES = 64 * 1024;

/** One body on its way through a compressor, which works on a thread of its own. What came is sent on without waiting for more. */
class Compression implements BodyTransform {
  readonly #stream: Gzip | BrotliCompress;
  #over = false;

  constructor(library: CompressorConfig["library"], sink: BodyTransformSink) {
    this.#stream = library.kind === "gzip" ? gzip(library) : brotli(library);
    this.#stream.on("data", (bytes: Buffer) => sink.data(bytes));
    this.#stream.on("drain", () => sink.drain());
    this.#stream.on("end", () => sink.end());
    this.#stream.on("error", (error) => {
      if (!this.#over) sink.fail(error);
    });
  }

  get congested(): boolean {
    return this.#stream.writableLength > MAX_WAITING_BYTES || this.#stream.writableNeedDrain;
  }

  write(bytes: Buffer, start: number, end: number): void {
    if (end > start && !this.#over) this.#stream.write(Buffer.from(bytes.subarray(start, end)));
  }

  end(): void {
    this.#stream.end();
  }

  destroy(): void {
    this.#over = true;
    this.#stream.destroy();
  }
}

function gzip({ memLevel, level, strategy, windowBits }: Extract<CompressorConfig["library"], { kind: "gzip" }>): Gzip {
  return createGzip({ memLevel, level, strategy, windowBits, flush: constants.Z_SYNC_FLUSH });
}

function brotli(spec: Extract<CompressorConfig["library"], { kind: "br" }>): BrotliCompress {
  return createBrotliCompress({
    flush: constants.BROTLI_OPERATION_FLUSH,
    params: {
      [constants.BROTLI_PARAM_QUALITY]: spec.quality,
      [constants.BROTLI_PARAM_MODE]: spec.mode,
      [constants.BROTLI_PARAM_LGWIN]: spec.windowBits,
      [constants.BROTLI_PARAM_LGBLOCK]: spec.blockBits,
      [constants.BROTLI_PARAM_DISABLE_LITERAL_CONTEXT_MODELING]: Number(spec.noContextModeling),
    },
  });
}
