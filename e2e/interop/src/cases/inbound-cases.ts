import { type Case, type Client, object } from "./case.ts";

const web: Client = { namespace: "default", serviceAccount: "web" };
const other: Client = { namespace: "other", serviceAccount: "web" };
const clients: readonly Client[] = ["plain", web, other];
const paths = [
  "/",
  "/admin",
  "/admin/users",
  "/public",
  "/public/x?y=1",
  "/adminx",
  "/a/../admin",
  "/%61dmin",
  "//admin",
];

const policy = (name: string, spec: string) =>
  object("AuthorizationPolicy", name, `  selector: { matchLabels: { app: client } }\n${spec}`);
const inbound = { to: ["inbound:9080"], hosts: ["client", "client:9080", "other.example"], paths, as: clients };

/** PeerAuthentication and AuthorizationPolicy as the workload's proxy enforces them. */
export const inboundCases: readonly Case[] = [
  { name: "no policies", yaml: "", requests: { ...inbound, methods: ["GET", "POST", "HEAD"] } },
  {
    name: "STRICT",
    yaml: object("PeerAuthentication", "default", "  mtls: { mode: STRICT }"),
    requests: inbound,
  },
  {
    name: "STRICT but for the port",
    yaml: object(
      "PeerAuthentication",
      "default",
      "  selector: { matchLabels: { app: client } }\n  mtls: { mode: STRICT }\n  portLevelMtls: { 9080: { mode: PERMISSIVE } }",
    ),
    requests: inbound,
  },
  {
    name: "DISABLE",
    yaml: object("PeerAuthentication", "default", "  mtls: { mode: DISABLE }"),
    requests: inbound,
  },
  { name: "nothing allowed", yaml: policy("none", "  {}").replace("\n  {}", ""), requests: inbound },
  {
    name: "allowed: principals, paths, methods",
    yaml: policy(
      "allow",
      `  action: ALLOW
  rules:
    - from: [{ source: { principals: [cluster.local/ns/default/sa/web] } }]
      to: [{ operation: { methods: [GET, HEAD], paths: [/admin*, /] } }]
    - to: [{ operation: { paths: [/public, "*/users"], notMethods: [DELETE] } }]
    - from: [{ source: { principals: ["*/ns/other/sa/*"] } }]
      to: [{ operation: { methods: [POST] } }]`,
    ),
    requests: { ...inbound, methods: ["GET", "POST", "DELETE", "HEAD"] },
  },
  {
    name: "denied before allowed",
    yaml:
      policy(
        "deny",
        `  action: DENY
  rules:
    - to: [{ operation: { paths: [/admin] } }]
    - from: [{ source: { notNamespaces: [default] } }]
      to: [{ operation: { paths: [/public*] } }]`,
      ) + policy("allow", "  rules: [{}]"),
    requests: inbound,
  },
  {
    name: "namespaces, ports, hosts",
    yaml: policy(
      "mixed",
      `  rules:
    - from: [{ source: { namespaces: [other] } }]
      to: [{ operation: { hosts: [client, "client:*"], ports: ["9080"] } }]
    - from: [{ source: { namespaces: [default] } }]
      to: [{ operation: { notHosts: [client], notPaths: [/admin*] } }]`,
    ),
    requests: inbound,
  },
  {
    name: "conditions",
    yaml: policy(
      "when",
      `  rules:
    - when:
        - { key: "request.headers[x-user]", values: [ann, "b*", "*c"] }
        - { key: destination.port, values: ["9080"] }
    - when:
        - { key: source.principal, values: [cluster.local/ns/other/sa/web] }
        - { key: "request.headers[x-user]", notValues: [mallory] }
    - when:
        - { key: source.ip, notValues: [127.0.0.0/8] }`,
    ),
    requests: {
      ...inbound,
      headers: [
        {},
        { "x-user": "ann" },
        { "x-user": "bob" },
        { "x-user": "abc" },
        { "x-user": "mallory" },
        { "x-user": "" },
      ],
    },
  },
];
