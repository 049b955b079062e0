export { type AuthenticatorOptions, createAuthenticator } from "./authenticator.ts";
export {
  type Citadel,
  type CitadelOptions,
  CONTROL_PLANE_NAMES,
  createCitadel,
  type ServerCertificate,
  type SignFailure,
} from "./citadel.ts";
export { unusableCa } from "./errors.ts";
