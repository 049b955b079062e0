import { s } from "../../schema/index.ts";
import { workloadSelector } from "../shared.ts";
import { targetFields } from "../targets.ts";

const list = s.array(s.string());
const source = s.object({
  principals: list,
  notPrincipals: list,
  requestPrincipals: list,
  notRequestPrincipals: list,
  namespaces: list,
  notNamespaces: list,
  serviceAccounts: list,
  notServiceAccounts: list,
  trustDomains: list,
  notTrustDomains: list,
  ipBlocks: list,
  notIpBlocks: list,
  remoteIpBlocks: list,
  notRemoteIpBlocks: list,
});
const operation = s.object({
  hosts: list,
  notHosts: list,
  ports: list,
  notPorts: list,
  methods: list,
  notMethods: list,
  paths: list,
  notPaths: list,
});

/** security.istio.io AuthorizationPolicy. */
export const authorizationPolicyBody = s.object({
  spec: s.object({
    selector: workloadSelector,
    ...targetFields,
    action: s.oneOf(["ALLOW", "DENY", "AUDIT", "CUSTOM"]),
    provider: s.object({ name: s.string() }),
    rules: s.array(
      s.object({
        from: s.array(s.object({ source })),
        to: s.array(s.object({ operation })),
        when: s.array(s.object({ key: s.required(s.string()), values: list, notValues: list })),
      }),
    ),
  }),
});
