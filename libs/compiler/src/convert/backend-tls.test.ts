import { describe, expect, it } from "vitest";
import { ROOT_PEM } from "../testing/certificates.ts";
import { apiObject, SERVICES } from "../testing/gateway-api.ts";
import { acceptedNames, upstreamTlsOf, viewOf } from "../testing/mesh.ts";

const policy = (validation: string, target = "{ group: '', kind: Service, name: a }") =>
  apiObject(
    "BackendTLSPolicy",
    "p",
    `{ targetRefs: [${target}], validation: { hostname: a.example.com, ${validation} } }`,
  );
const SYSTEM = "wellKnownCACertificates: System";
const OWN = "caCertificateRefs: [{ group: '', kind: ConfigMap, name: roots }]";
const roots = (pem: string) => `
apiVersion: v1
kind: ConfigMap
metadata: { name: roots }
data: { ca.crt: ${JSON.stringify(pem)} }
---`;
const ROOTS = roots(ROOT_PEM);
const CLUSTER = "outbound|80||a.default.svc.cluster.local";

describe("a BackendTLSPolicy", () => {
  const tlsOf = (yaml: string, cluster = CLUSTER) => {
    const tls = upstreamTlsOf(viewOf(SERVICES + yaml).cluster(cluster));
    const context = tls?.commonTlsContext?.validationContextType;
    const inline = context?.$case === "validationContext" ? context.value : undefined;
    const names = (inline?.matchTypedSubjectAltNames ?? []).map(({ matcher }) => String(matcher?.matchPattern?.value));
    return { sni: tls?.sni, pem: inline?.trustedCa?.specifier?.value, names, sds: acceptedNames(tls) };
  };

  it("trusts the system's roots, and expects the hostname", () => {
    expect(tlsOf(policy(SYSTEM))).toMatchObject({ sni: "a.example.com", sds: ["dns exact a.example.com"] });
  });

  it("trusts roots of a ConfigMap", () => {
    expect(tlsOf(ROOTS + policy(OWN))).toMatchObject({
      sni: "a.example.com",
      pem: ROOT_PEM,
      names: ["a.example.com"],
    });
  });

  it("trusts nobody while the roots are missing", () => {
    expect(tlsOf(policy(OWN))).toMatchObject({ sni: "a.example.com", sds: ["dns exact nobody.invalid"] });
  });

  it("trusts nobody while the roots are none: an Envoy would refuse the cluster", () => {
    for (const pem of ["", "roots", "-----BEGIN CERTIFICATE-----", ROOT_PEM.replace(/[A-Z]/, "!")]) {
      expect(tlsOf(roots(pem) + policy(OWN))).toMatchObject({ sds: ["dns exact nobody.invalid"] });
    }
  });

  it("may expect other names", () => {
    const names = "subjectAltNames: [{ type: Hostname, hostname: b.com }, { type: URI, uri: 'spiffe://x/y' }]";
    expect(tlsOf(policy(`${SYSTEM}, ${names}`)).sds).toEqual(["dns exact b.com", "uri exact spiffe://x/y"]);
  });

  it("gives way to an older one for the same Service", () => {
    const at = (name: string, created: string, hostname: string) =>
      policy(SYSTEM)
        .replace("name: p", `name: ${name}`)
        .replace("2024-01-01T00:00:00Z", created)
        .replace("a.example.com", hostname);
    const young = at("a", "2024-02-02T00:00:00Z", "young.example.com");
    const old = at("b", "2024-01-01T00:00:00Z", "old.example.com");
    expect(tlsOf(young + old).sni).toBe("old.example.com");
    expect(tlsOf(old + young).sni).toBe("old.example.com");
  });

  it("may be for one port", () => {
    const two = SERVICES.replace(
      "[{ name: http, port: 80 }]",
      "[{ name: http, port: 80 }, { name: https, port: 443 }]",
    );
    const one = policy(SYSTEM, "{ group: '', kind: Service, name: a, sectionName: https }");
    const view = viewOf(two + one);
    const sni = (port: number) => upstreamTlsOf(view.cluster(`outbound|${port}||a.default.svc.cluster.local`))?.sni;
    expect(sni(443)).toBe("a.example.com");
    expect(sni(80)).not.toBe("a.example.com");
  });
});
