/** Why a token does not count. The texts are Envoy's: clients and logs see them. */
export const failures = {
  missing: "Jwt is missing",
  notYetValid: "Jwt not yet valid",
  expired: "Jwt is expired",
  badFormat: "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
  headerBase64: "Jwt header is an invalid Base64url encoded",
  headerJson: "Jwt header is an invalid JSON",
  headerAlg: "Jwt header [alg] field is required and must be a string",
  headerAlgUnknown: "Jwt header [alg] is not supported",
  headerKid: "Jwt header [kid] field is not a string",
  payloadBase64: "Jwt payload is an invalid Base64url encoded",
  payloadJson: "Jwt payload is an invalid JSON",
  signatureBase64: "Jwt signature is an invalid Base64url encoded",
  audienceType: "Jwt payload [aud] field is not a string or string list",
  unknownIssuer: "Jwt issuer is not configured",
  audience: "Audiences in Jwt are not allowed",
  verification: "Jwt verification fails",
  fetch: "Jwks remote fetch is failed",
  noKeys: "Jwks doesn't have any valid public key",
  keyMismatch: "Jwks doesn't have key to match kid or alg from Jwt",
  noExpiration: "Jwt has no expiration",
  lifetime: "Jwt lifetime is too long",
} as const;

/** A claim of the wrong type, such as `Jwt payload [iss] field is not a string`. */
export const notString = (claim: string): string => `Jwt payload [${claim}] field is not a string`;
export const notInteger = (claim: string): string => `Jwt payload [${claim}] field is not an integer`;
export const outOfRange = (claim: string): string => `Jwt payload [${claim}] field is not a positive 64 bit integer`;
