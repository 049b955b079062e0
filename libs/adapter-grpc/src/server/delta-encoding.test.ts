import { DeltaDiscoveryResponse } from "@lateen/proto/envoy/service/discovery/v3/discovery";
import { expect, it } from "vitest";
import { DeltaEncoder } from "./delta-encoding.ts";

const resource = (name: string, bytes: number, version = "1") => ({
  name,
  version,
  aliases: [],
  resource: { typeUrl: "t", value: Buffer.alloc(bytes, name) },
});
const response = (...resources: readonly ReturnType<typeof resource>[]) =>
  DeltaDiscoveryResponse.fromPartial({
    nonce: "7",
    typeUrl: "t",
    removedResources: ["gone"],
    resources: [...resources],
  });

it.each([
  ["nothing", response()],
  ["short resources", response(resource("a", 1), resource("b", 200))],
  ["long ones", response(resource("a", 70_000), resource("b", 300_000))],
])("decodes to what was encoded: %s", (_title, sent) => {
  const encoder = new DeltaEncoder();
  for (let round = 0; round < 2; round++) {
    expect(DeltaDiscoveryResponse.decode(Buffer.from(encoder.encode(sent)))).toEqual(sent);
  }
});

it("encodes a resource anew under another version", () => {
  const encoder = new DeltaEncoder();
  const first = resource("a", 10);
  encoder.encode(response(first));
  const sent = response({ ...first, version: "2" });
  expect(DeltaDiscoveryResponse.decode(encoder.encode(sent))).toEqual(sent);
});
