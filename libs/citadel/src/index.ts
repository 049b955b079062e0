export { type AuthenticatorOptions, createAuthenticator } from "./authenticator.ts";
export {
  allControlPlaneNames,
  type Citadel,
  type CitadelOptions,
  controlPlaneNames,
  createCitadel,
  type ServerCertificate,
  type SignFailure,
} from "./citadel.ts";
export { unusableCa } from "./errors.ts";
