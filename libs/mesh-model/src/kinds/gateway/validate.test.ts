import { describe, expect, it } from "vitest";
import { documentOf, findingsOf } from "../../testing/findings.ts";

const server = (text: string) => `{selector: {istio: ingressgateway}, servers: [${text}]}`;
const tls = (text: string) => server(`{port: {number: 443, name: https, protocol: HTTPS}, hosts: [a], tls: ${text}}`);

describe("a Gateway is accepted", () => {
  it.each([
    [
      "with plain HTTP",
      server("{port: {number: 80, name: http, protocol: http}, hosts: ['*', ns/a.example.com, ./b, '*/c']}"),
    ],
    [
      "with a redirect to https",
      server("{port: {number: 80, name: http, protocol: HTTP}, hosts: [a], tls: {httpsRedirect: true}}"),
    ],
    [
      "with a credential",
      tls("{mode: SIMPLE, credentialName: cert, minProtocolVersion: TLSV1_2, maxProtocolVersion: TLSV1_3}"),
    ],
    ["with files", tls("{mode: MUTUAL, serverCertificate: /c, privateKey: /k, caCertificates: /ca}")],
    [
      "with pass-through",
      server("{port: {number: 443, name: tls, protocol: TLS}, hosts: [a], tls: {mode: PASSTHROUGH}}"),
    ],
    ["with mesh TLS", server("{port: {number: 443, name: tls, protocol: TLS}, hosts: [a], tls: {mode: ISTIO_MUTUAL}}")],
    ["with TCP", server("{port: {number: 3306, name: db, protocol: TCP}, hosts: ['*'], bind: 127.0.0.1}")],
  ])("%s", (_, spec) => {
    expect(findingsOf(documentOf("Gateway", spec))).toEqual([]);
  });
});

describe("a Gateway is refused, or warned about", () => {
  it.each([
    ["without servers", "{selector: {a: b}}", "error spec: at least one server is required"],
    [
      "without selector",
      "{servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [a]}]}",
      "warning spec: a gateway without selector applies to every gateway workload",
    ],
    ["without port", server("{hosts: [a]}"), 'error spec.servers[0]: field "port" is required'],
    [
      "without hosts",
      server("{port: {number: 80, name: http, protocol: HTTP}, hosts: []}"),
      "error spec.servers[0].hosts: at least one host is required",
    ],
    [
      "with an illegal host",
      server("{port: {number: 80, name: http, protocol: HTTP}, hosts: [a/b/c]}"),
      'error spec.servers[0].hosts[0]: "a/b/c" is not a host or "namespace/host"',
    ],
    [
      "with an unknown protocol",
      server("{port: {number: 80, name: x, protocol: QUIC}, hosts: [a]}"),
      'error spec.servers[0].port.protocol: "QUIC" is not one of HTTP',
    ],
    [
      "without port name",
      server("{port: {number: 80, protocol: HTTP}, hosts: [a]}"),
      'error spec.servers[0].port: field "name" is required',
    ],
    [
      "with a port name twice",
      server(
        "{port: {number: 80, name: http, protocol: HTTP}, hosts: [a]}, {port: {number: 81, name: http, protocol: HTTP}, hosts: [a]}",
      ),
      'error spec.servers[1].port.name: port name "http" is used by another server',
    ],
    [
      "with HTTPS without tls",
      server("{port: {number: 443, name: https, protocol: HTTPS}, hosts: [a]}"),
      "error spec.servers[0]: a server with protocol HTTPS needs tls",
    ],
    [
      "with HTTP and certificates",
      server("{port: {number: 80, name: http, protocol: HTTP}, hosts: [a], tls: {mode: SIMPLE, credentialName: c}}"),
      "error spec.servers[0].tls: a server with protocol HTTP cannot have tls settings",
    ],
    [
      "without certificate",
      tls("{mode: SIMPLE}"),
      "error spec.servers[0].tls: mode SIMPLE needs credentialName, or serverCertificate and privateKey",
    ],
    [
      "with mutual TLS without CA",
      tls("{mode: MUTUAL, serverCertificate: /c, privateKey: /k}"),
      "error spec.servers[0].tls: mode MUTUAL needs caCertificates or credentialName",
    ],
    [
      "with two certificates",
      tls("{mode: SIMPLE, credentialName: c, serverCertificate: /c, privateKey: /k}"),
      "error spec.servers[0].tls: credentialName and serverCertificate/privateKey exclude each other",
    ],
    [
      "with mesh TLS and a certificate",
      tls("{mode: ISTIO_MUTUAL, credentialName: c}"),
      "error spec.servers[0].tls.credentialName: credentialName cannot be set with mode ISTIO_MUTUAL",
    ],
    [
      "with automatic pass-through and a certificate",
      tls("{mode: AUTO_PASSTHROUGH, credentialName: c}"),
      "warning spec.servers[0].tls: certificates have no effect with mode AUTO_PASSTHROUGH",
    ],
    [
      "with names of clients that it does not ask for",
      tls("{mode: SIMPLE, credentialName: c, subjectAltNames: [d]}"),
      "warning spec.servers[0].tls.subjectAltNames: subjectAltNames has no effect: mode SIMPLE asks for no client certificate",
    ],
    [
      "with one credential and several",
      tls("{mode: SIMPLE, credentialName: c, credentialNames: [d]}"),
      "error spec.servers[0].tls: credentialName and credentialNames exclude each other",
    ],
    [
      "with a certificate without key",
      tls("{mode: SIMPLE, tlsCertificates: [{serverCertificate: /c}]}"),
      "error spec.servers[0].tls.tlsCertificates[0]: serverCertificate and privateKey are both required",
    ],
    [
      "with versions the wrong way round",
      tls("{mode: SIMPLE, credentialName: c, minProtocolVersion: TLSV1_3, maxProtocolVersion: TLSV1_2}"),
      "warning spec.servers[0].tls.minProtocolVersion: minProtocolVersion is above maxProtocolVersion",
    ],
    [
      "with an old version",
      tls("{mode: SIMPLE, credentialName: c, minProtocolVersion: TLSV1_0}"),
      "warning spec.servers[0].tls.minProtocolVersion: TLSV1_0 needs cipherSuites that it can use",
    ],
    [
      "with a cipher suite twice",
      tls("{mode: SIMPLE, credentialName: c, cipherSuites: [AES128-SHA, AES128-SHA]}"),
      'warning spec.servers[0].tls.cipherSuites[1]: cipher suite "AES128-SHA" is written twice',
    ],
    [
      "with a bind that is no address",
      server("{port: {number: 80, name: http, protocol: HTTP}, hosts: [a], bind: eth0}"),
      'error spec.servers[0].bind: "eth0" is not an IP address',
    ],
  ])("%s", (_, spec, finding) => {
    const found = findingsOf(documentOf("Gateway", spec));
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(finding);
  });
});
