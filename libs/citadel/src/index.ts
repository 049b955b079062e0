export { type Authenticator, type AuthenticatorOptions, createAuthenticator } from "./authenticator.ts";
export {
  type Citadel,
  type CitadelOptions,
  createCitadel,
  type ServerCertificate,
  type SignFailure,
} from "./citadel.ts";
export { unusableCa } from "./errors.ts";
