import { LateenError } from "@lateen/kernel";

/** The given CA files cannot be used; nothing is signed with them and they are not replaced. */
export function unusableCa(reason: string): LateenError {
  return new LateenError({
    code: "LTN4101",
    fault: "user",
    message: `the stored CA cannot be used: ${reason}`,
    hint: "put matching ca-cert.pem, ca-key.pem, root-cert.pem and cert-chain.pem in place, or remove all four for a new root",
  });
}
