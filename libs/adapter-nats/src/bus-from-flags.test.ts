import { expect, it } from "vitest";
import { type NatsFlags, natsOptionsOf } from "./bus-from-flags.ts";

const flags: NatsFlags = {
  natsUrl: [],
  natsMesh: "m",
  natsCredentials: undefined,
  natsCredentialsKind: "creds",
  natsCa: undefined,
  natsCert: undefined,
  natsKey: undefined,
  natsReplicas: 3,
};

it("uses NATS where an address is given, with TLS and credentials where files are", () => {
  expect(natsOptionsOf(flags)).toBeUndefined();
  expect(natsOptionsOf({ ...flags, natsUrl: ["nats://a:1,nats://b:1", "c"] })).toEqual({
    servers: ["nats://a:1", "nats://b:1", "c"],
    mesh: "m",
    replicas: 3,
  });
  expect(
    natsOptionsOf({ ...flags, natsUrl: ["a"], natsCa: "/ca", natsCredentials: "/c", natsCredentialsKind: "user" }),
  ).toEqual({
    servers: ["a"],
    mesh: "m",
    replicas: 3,
    credentials: { file: "/c", kind: "user" },
    tls: { caFile: "/ca", certFile: undefined, keyFile: undefined },
  });
});
