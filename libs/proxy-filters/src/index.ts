export { CORS, type CorsConfig } from "./cors/config.ts";
export { httpFilters, networkFilters } from "./factories.ts";
export { type AbortSpec, type DelaySpec, FAULT, type FaultConfig } from "./fault/config.ts";
export { comparableAudience, JWT_AUTHN, type JwtConfig } from "./jwt/config.ts";
export { HTTP_RBAC, NETWORK_RBAC, type RbacConfig } from "./rbac/config.ts";
export { httpFilterRuntimes, networkFilterRuntimes } from "./runtimes.ts";
