import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "@lateen/kernel";
import { createCsr, issueCertificate } from "@lateen/pki";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { SERVER_NAME } from "./testing/control-plane.ts";
import { configOf, controlPlane, runDir, start, until, useRunDirectory } from "./testing/harness.ts";
import { edsCluster, endpoints, tcpListener } from "./testing/resources.ts";

useRunDirectory({ beforeEach, afterEach });

describe("an Envoy bootstrap", () => {
  const bootstrap = async (text: string) => {
    const path = join(runDir, "bootstrap.yaml");
    await writeFile(path, text);
    return configOf(undefined, {
      runDir: undefined,
      caAddress: undefined,
      adminPort: undefined,
      envoyConfigFile: path,
    });
  };
  const ADMIN = "admin: { address: { socket_address: { address: 127.0.0.1, port_value: 0 } } }";
  const xdsCluster = (port: number, transport: string) => `
${ADMIN}
node: { id: sidecar~127.0.0.1~web-1.shop~shop.svc.cluster.local, cluster: web }
dynamic_resources:
  ads_config: { api_type: DELTA_GRPC, grpc_services: [{ envoy_grpc: { cluster_name: xds } }] }
  cds_config: { ads: {} }
  lds_config: { ads: {} }
static_resources:
  clusters:
    - name: xds
      type: STATIC
      load_assignment: { cluster_name: xds, endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: ${port} } } } }] }] }
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: { http2_protocol_options: {} }
${transport}
`;

  it("with ADS follows that server", async () => {
    const plane = await controlPlane();
    plane.set([edsCluster("reviews"), endpoints("reviews", "10.0.0.1"), tcpListener("plain", "reviews")]);
    const { csrPem, privateKeyPem } = createCsr({ spiffeId: "spiffe://x" });
    const spiffeId = "spiffe://cluster.local/ns/shop/sa/web";
    const { certPem } = issueCertificate(plane.ca, { csrPem, spiffeId, ttlSeconds: 60 }, systemClock());
    const files = { root: plane.ca.rootPem, chain: certPem, key: privateKeyPem };
    for (const [name, text] of Object.entries(files)) await writeFile(join(runDir, name), text);
    const transport = `
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
          sni: ${SERVER_NAME}
          common_tls_context:
            tls_certificates: [{ certificate_chain: { filename: ${runDir}/chain }, private_key: { filename: ${runDir}/key } }]
            validation_context: { trusted_ca: { filename: ${runDir}/root } }`;
    const { agent, admin } = await start(await bootstrap(xdsCluster(Number(plane.address.split(":")[1]), transport)));
    await until(() => agent.notReady() === undefined);
    expect((await admin("/listeners")).body).toBe("plain::0.0.0.0:9000\n");
    expect(plane.callers[0]).toMatchObject({ namespace: "shop", serviceAccount: "web" });
  });

  it("names the line of every field that it cannot honour", async () => {
    const listener = (port: number, field: string) => `
    - name: l${port}
      address: { socket_address: { address: 127.0.0.1, port_value: ${port} } }
      filter_chains:
        - filters:
            - name: hcm
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: a
                ${field}
                route_config: { virtual_hosts: [] }
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }`;
    const text = `static_resources:
  clusters:
    - name: a
      type: STATIC
      lb_policy: LOAD_BALANCING_POLICY_CONFIG
  listeners:${listener(1, "proxy_100_continue: true")}${listener(2, "")}`;
    const failure = await start(await bootstrap(text)).catch((error: unknown) => String(error));
    expect(failure).toMatch(/bootstrap\.yaml:5: a: lb_policy: 7 is not supported/);
    expect(failure).toMatch(/bootstrap\.yaml:15: l1: .*proxy100_continue: not supported/);
    expect(failure).not.toContain("l2");
    await expect(start(await bootstrap(text.replace("type: STATIC", "connect_timout: 1s")))).rejects.toMatchObject({
      message: expect.stringMatching(
        /bootstrap\.yaml:4: static_resources\.clusters\[0\]\.connect_timout: unknown field/,
      ),
    });
  });

  it.each([
    ["ADS without TLS", xdsCluster(1, ""), "ADS without TLS is not supported"],
    [
      "a cluster that is refused",
      "static_resources: { clusters: [{ name: a, lb_policy: LOAD_BALANCING_POLICY_CONFIG }] }",
      "a: lb_policy",
    ],
    ["a file that is no YAML", "a: [", "cannot use"],
  ])("with %s ends the start", async (_title, text, reason) => {
    await expect(start(await bootstrap(text))).rejects.toMatchObject({
      code: "LTN5001",
      message: expect.stringContaining(reason),
    });
  });
});
