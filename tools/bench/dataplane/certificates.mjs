import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createTestCa } from "@lateen/test-support";

/** @typedef {{ root: string, certificate: string, key: string, pair: string }} Certificates paths of PEM files; `pair` is certificate and key in one */

/** One P-256 certificate for every party. @param {string} folder @returns {Certificates} */
export function writeCertificates(folder) {
  const ca = createTestCa("bench");
  const { certPem, keyPem } = ca.issue({ dns: ["localhost"], uris: ["spiffe://cluster.local/ns/default/sa/bench"] });
  const write = (/** @type {string} */ name, /** @type {string} */ text) => {
    const path = join(folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  return {
    root: write("root.pem", ca.rootPem),
    certificate: write("certificate.pem", certPem),
    key: write("key.pem", keyPem),
    pair: write("pair.pem", certPem + keyPem),
  };
}
