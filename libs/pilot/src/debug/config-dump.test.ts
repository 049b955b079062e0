import { packAny } from "@lateen/proto";
import { Secret } from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/secret";
import { xdsTypes } from "@lateen/xds";
import { describe, expect, it } from "vitest";
import { configDump } from "./config-dump.ts";

const secret = Secret.fromPartial({
  name: "shop",
  type: {
    $case: "tlsCertificate",
    value: {
      certificateChain: { specifier: { $case: "inlineBytes", value: Buffer.from("CERTIFICATE") } },
      privateKey: { specifier: { $case: "inlineBytes", value: Buffer.from("TOP-SECRET") } },
    },
  },
});
const base64 = (text: string) => Buffer.from(text).toString("base64");

describe("configDump", () => {
  it("shows certificates and hides keys", () => {
    const resource = { name: "shop", version: "1", any: packAny(Secret, secret) };
    const text = JSON.stringify(
      configDump((typeUrl) => new Map(typeUrl === xdsTypes.secret ? [["shop", resource]] : [])),
    );
    expect(text).toContain(base64("CERTIFICATE"));
    expect(text).not.toContain(base64("TOP-SECRET"));
  });

  it("shows what it cannot read as such", () => {
    const broken = { name: "c", version: "1", any: { typeUrl: xdsTypes.cluster, value: Buffer.from([0xff]) } };
    const text = JSON.stringify(configDump((typeUrl) => new Map(typeUrl === xdsTypes.cluster ? [["c", broken]] : [])));
    expect(text).toContain("undecodable");
  });
});
