import type { Exchange, FilterContext, HttpFilter, HttpFilterRuntime } from "@lateen/proxy";
import { BUFFER, type BufferConfig } from "./config.ts";

/** Lets upstreams see whole requests only. @see envoy.extensions.filters.http.buffer.v3.Buffer */
export const bufferRuntime: HttpFilterRuntime<BufferConfig> = {
  name: BUFFER,
  create: (config: BufferConfig, { configName }: FilterContext): HttpFilter => ({
    onRequestHead(exchange: Exchange) {
      const { maxRequestBytes } = (exchange.routeConfig(configName) as BufferConfig | undefined) ?? config;
      if (maxRequestBytes === undefined) return "continue";
      exchange.readBody(maxRequestBytes + 1, ({ bytes, complete }) => {
        if (!complete || bytes.length > maxRequestBytes) {
          exchange.localReply({
            status: 413,
            body: "Payload Too Large",
            flag: "",
            details: "request_payload_too_large",
          });
          return;
        }
        if (bytes.length > 0) exchange.setRequestLength(bytes.length);
        exchange.resume();
      });
      return "wait";
    },
  }),
};
