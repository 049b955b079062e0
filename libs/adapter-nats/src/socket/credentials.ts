import { readFileSync } from "node:fs";
import { messageOf, Secret } from "@lateen/kernel";
import {
  type Authenticator,
  credsAuthenticator,
  nkeyAuthenticator,
  nkeys,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
} from "nats";
import { badCredentials } from "../errors.ts";

/** What the text of a credentials file is. `creds`: a `.creds` file of `nsc`; `nkey`: a seed `SU…`; `user`: `USER:PASSWORD`; `token`: a token. */
export type CredentialsKind = "creds" | "nkey" | "user" | "token";

/** How this process proves who it is. The file is read for every connection, so it may be replaced while we run. */
export interface NatsCredentials {
  readonly kind: CredentialsKind;
  readonly file: string;
}

/** Files of certificates, read for every connection. */
export interface NatsTls {
  /** Certificates of authorities that sign servers; default: the system's. */
  readonly caFile?: string | undefined;
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
}

/** @throws LTN6201 when the file is unusable. */
export function authenticatorOf({ kind, file }: NatsCredentials): Authenticator {
  const text = new Secret(read(file).trim());
  if (text.revealSecret() === "") throw badCredentials(file, "it is empty");
  switch (kind) {
    case "creds":
      checkSeed(file, /(SU[A-Z2-7]{56})/.exec(text.revealSecret())?.[1]);
      return credsAuthenticator(Buffer.from(`${text.revealSecret()}\n`));
    case "nkey":
      checkSeed(file, text.revealSecret());
      return nkeyAuthenticator(Buffer.from(text.revealSecret()));
    case "user": {
      const [user = "", ...password] = text.revealSecret().split(":");
      if (user === "" || password.length === 0) throw badCredentials(file, "it is not USER:PASSWORD");
      return usernamePasswordAuthenticator(user, password.join(":"));
    }
    case "token":
      return tokenAuthenticator(text.revealSecret());
  }
}

/** TLS options with what the files hold now. @throws LTN6201 when one is unusable. */
export function tlsOf({ caFile, certFile, keyFile }: NatsTls): {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
} {
  return {
    ...(caFile === undefined ? {} : { ca: read(caFile) }),
    ...(certFile === undefined ? {} : { cert: read(certFile) }),
    ...(keyFile === undefined ? {} : { key: read(keyFile) }),
  };
}

function checkSeed(file: string, seed: string | undefined): void {
  try {
    if (seed === undefined) throw new Error("it has no seed of a user");
    nkeys.fromSeed(Buffer.from(seed));
  } catch (error) {
    throw badCredentials(file, seed === undefined ? messageOf(error) : "it is no nkey seed");
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw badCredentials(file, messageOf(error), error);
  }
}
