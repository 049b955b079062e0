// node-forge's index loads all of it: ciphers, PKCS, a TLS stack of its own. Every proxy would pay some 7 MB for that.
declare module "node-forge/lib/asn1.js" {
  import type forge from "node-forge";

  const asn1: typeof forge.asn1;
  export default asn1;
}
declare module "node-forge/lib/util.js" {
  import type forge from "node-forge";

  const util: typeof forge.util;
  export default util;
}
