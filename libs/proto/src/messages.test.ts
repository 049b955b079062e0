import { fromBinary, fromJson, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { Lua } from "./gen/envoy/extensions/filters/http/lua/v3/lua.ts";
import { describeMessages, MessageWriter } from "./messages.ts";

const registry = describeMessages();

describe("descriptions of messages", () => {
  it.each([
    "envoy.config.listener.v3.Listener",
    "envoy.config.cluster.v3.Cluster",
    "envoy.config.bootstrap.v3.Bootstrap",
    "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
    "envoy.extensions.filters.http.wasm.v3.Wasm",
    "envoy.extensions.filters.network.wasm.v3.Wasm",
    "envoy.extensions.filters.http.compressor.v3.Compressor",
    "envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig",
    "xds.type.v3.TypedStruct",
    "udpa.type.v1.TypedStruct",
    "google.protobuf.Struct",
    "stats.PluginConfig",
  ])("hold %s", (name) => {
    expect(registry.getMessage(name)?.typeName).toBe(name);
  });

  it("read and write what the generated code does", () => {
    const type = registry.getMessage("envoy.extensions.filters.http.lua.v3.Lua");
    if (type === undefined) throw new Error("missing");
    const source = { default_source_code: { inline_string: "x = 1" } };
    const bytes = toBinary(type, fromJson(type, source, { registry }));
    expect(Lua.decode(bytes).defaultSourceCode?.specifier).toEqual({ $case: "inlineString", value: "x = 1" });
    expect(fromBinary(type, Lua.encode(Lua.decode(bytes)).finish())).toEqual(fromBinary(type, bytes));
  });
});

describe("a writer of messages", () => {
  it("writes what is packed inside as well", () => {
    const inner = { "@type": "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo" };
    const name = "envoy.config.listener.v3.Filter";
    const type = registry.getMessage(name);
    if (type === undefined) throw new Error("missing");
    const bytes = toBinary(type, fromJson(type, { name: "a", typedConfig: inner }, { registry }));
    const writer = new MessageWriter();
    expect(writer.toJson(`type.googleapis.com/${name}`, bytes)).toEqual({ name: "a", typedConfig: inner });
    expect(() => writer.toJson("type.googleapis.com/no.Such", bytes)).toThrow("no.Such");
  });
});
