import { typeUrl } from "@lateen/proto";
import { Listener } from "@lateen/proto/envoy/config/listener/v3/listener";
import { Secret } from "@lateen/proto/envoy/extensions/transport_sockets/tls/v3/secret";
import { NameTable } from "@lateen/proto/istio/networking/nds/v1/nds";
import { describe, expect, it } from "vitest";
import { nameTable, secretSpec } from "./index.ts";
import { run } from "./testing/context.ts";

describe("secrets and names", () => {
  it("decodes a certificate and refuses other kinds", () => {
    const secret = Secret.fromPartial({
      name: "s",
      type: {
        $case: "tlsCertificate",
        value: {
          certificateChain: { specifier: { $case: "inlineBytes", value: Buffer.from("chain") } },
          privateKey: { specifier: { $case: "inlineString", value: "key" } },
        },
      },
    });
    expect(secretSpec(secret, run())).toEqual({
      kind: "certificate",
      name: "s",
      certChainPem: "chain",
      privateKeyPem: "key",
    });
    expect(() => secretSpec(Secret.fromPartial({ name: "s" }), run())).toThrow("type: no type is not supported");
  });

  it("spells short names only where they mean the service", () => {
    const entry = (namespace: string) => ({
      ips: ["10.96.0.1"],
      registry: "Kubernetes",
      shortname: "reviews",
      namespace,
      altHosts: [],
    });
    const table = NameTable.fromPartial({
      table: {
        "reviews.shop.svc.cluster.local": entry("shop"),
        "ratings.other.svc.cluster.local": { ...entry("other"), shortname: "ratings" },
        "api.example.com": { ips: ["240.240.0.1"], registry: "External" },
      },
    });
    expect(Object.keys(nameTable(table, "shop")).sort()).toEqual([
      "api.example.com",
      "ratings.other",
      "ratings.other.svc",
      "ratings.other.svc.cluster.local",
      "reviews",
      "reviews.shop",
      "reviews.shop.svc",
      "reviews.shop.svc.cluster.local",
    ]);
  });

  it("names types as xDS does", () => {
    expect(typeUrl(Listener)).toBe("type.googleapis.com/envoy.config.listener.v3.Listener");
  });
});
