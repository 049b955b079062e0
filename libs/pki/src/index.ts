export {
  createRootCa,
  type IssuedCertificate,
  type IssueRequest,
  issueCertificate,
  type RootCaOptions,
} from "./certificate.ts";
export { type CsrOptions, createCsr, MAX_CSR_LENGTH, parseCsr } from "./csr.ts";
export { badCa, badCertificate, badCsr } from "./errors.ts";
export { type CertificateFacts, certificateFacts, factsOf } from "./facts.ts";
export { generateP256, privateKeyPem } from "./keys.ts";
export { splitPem, toPem } from "./pem.ts";
export {
  createTokenKey,
  jwtTokenReviewer,
  MAX_TOKEN_TTL_SECONDS,
  type MintRequest,
  mintToken,
  TOKEN_AUDIENCE,
} from "./token.ts";
export { checkCa, verifyChain } from "./verify.ts";
export { type CaBundleOptions, keepCaBundles } from "./workload/ca-bundles.ts";
export {
  type ComponentIdentity,
  type ComponentIdentityOptions,
  type ComponentTls,
  componentIdentity,
} from "./workload/component-identity.ts";
export { linkProjected, type ProjectedFiles, tokenIdentity, workloadOrToken } from "./workload/run-dir-identity.ts";
export {
  WorkloadCertificate,
  type WorkloadCertificateOptions,
  type WorkloadIdentity,
} from "./workload/workload-certificate.ts";
