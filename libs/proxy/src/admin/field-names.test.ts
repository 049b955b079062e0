import { expect, it } from "vitest";
import { protoFieldNames } from "./field-names.ts";

it("spells fields as the .proto files do", () => {
  expect(
    protoFieldNames({
      "@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump",
      dynamicActiveClusters: [
        { versionInfo: "1", cluster: { http2ProtocolOptions: {}, commonTlsContext: { sni: "a" } } },
      ],
    }),
  ).toEqual({
    "@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump",
    dynamic_active_clusters: [
      { version_info: "1", cluster: { http2_protocol_options: {}, common_tls_context: { sni: "a" } } },
    ],
  });
});

it("leaves names of things and user data alone", () => {
  expect(
    protoFieldNames({
      typedPerFilterConfig: { "envoy.filters.http.faultFilter": { maxActive: 1 } },
      metadata: { filterMetadata: { istio: { defaultOriginalPort: 1 } } },
      node: { metadata: { camelCase: { innerName: 1 } } },
    }),
  ).toEqual({
    typed_per_filter_config: { "envoy.filters.http.faultFilter": { max_active: 1 } },
    metadata: { filter_metadata: { istio: { defaultOriginalPort: 1 } } },
    node: { metadata: { camelCase: { innerName: 1 } } },
  });
});
