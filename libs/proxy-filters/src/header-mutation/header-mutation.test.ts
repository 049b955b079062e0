import {
  HeaderMutation,
  HeaderMutationPerRoute,
} from "@lateen/proto/envoy/extensions/filters/http/header_mutation/v3/header_mutation";
import { describe, expect, it } from "vitest";
import { FakeExchange, fakeContext } from "../testing/fake-exchange.ts";
import { HEADER_MUTATION } from "./config.ts";
import { decodeHeaderMutation, decodeHeaderMutationPerRoute } from "./decode.ts";
import { headerMutationRuntime } from "./header-mutation.ts";

type Message = Parameters<typeof HeaderMutation.fromPartial>[0];
type Mutation = NonNullable<NonNullable<NonNullable<Message>["mutations"]>["requestMutations"]>[number];
const decode = (message: Message) =>
  decodeHeaderMutation(HeaderMutation.encode(HeaderMutation.fromPartial(message)).finish());
const ofRoute = (message: Parameters<typeof HeaderMutationPerRoute.fromPartial>[0]) =>
  decodeHeaderMutationPerRoute(HeaderMutationPerRoute.encode(HeaderMutationPerRoute.fromPartial(message)).finish());
const put = (key: string, value: string, appendAction = 0, keepEmptyValue = false): Mutation => ({
  action: { $case: "append", value: { header: { key, value }, appendAction: appendAction as 0, keepEmptyValue } },
});
const remove = (name: string): Mutation => ({ action: { $case: "remove", value: name } });

function run(message: Message, known: Readonly<Record<string, string>> = {}, route?: unknown, host?: unknown) {
  const { context } = fakeContext("inbound", undefined, HEADER_MUTATION);
  const exchange = new FakeExchange();
  exchange.requestEdits.known = known;
  if (route !== undefined) exchange.configs[HEADER_MUTATION] = route;
  if (host !== undefined) exchange.hostConfigs[HEADER_MUTATION] = host;
  const filter = headerMutationRuntime.create(decode(message), context);
  filter.onRequestHead?.(exchange);
  filter.onResponseHead?.(exchange);
  return { request: exchange.requestEdits.log, response: exchange.responseEdits.log };
}

describe("header mutation", () => {
  it.each<[string, Mutation[], Record<string, string>, string[]]>([
    ["appends", [put("X-A", "1")], { "x-a": "0" }, ["append x-a=1"]],
    ["adds what is absent", [put("x-a", "1", 1)], {}, ["append x-a=1"]],
    ["leaves what is there", [put("x-a", "1", 1)], { "x-a": "0" }, []],
    ["overwrites", [put("x-a", "1", 2)], { "x-a": "0" }, ["set x-a=1"]],
    ["overwrites only what is there", [put("x-a", "1", 3), put("x-b", "1", 3)], { "x-a": "0" }, ["set x-a=1"]],
    ["removes", [remove("X-A")], {}, ["remove x-a"]],
    [
      "keeps the order",
      [put("x-a", "1"), remove("x-a"), put("x-a", "2", 1)],
      {},
      ["append x-a=1", "remove x-a", "append x-a=2"],
    ],
    ["leaves out empty values", [put("x-a", "")], {}, []],
    ["keeps empty values that it is to keep", [put("x-a", "", 0, true)], {}, ["append x-a="]],
    ["knows operators", [put("x-a", "%REQ(:path)%!")], {}, ["append x-a=<REQ :path>!"]],
  ])("%s", (_title, requestMutations, known, expected) => {
    expect(run({ mutations: { requestMutations } }, known).request).toEqual(expected);
  });

  it("changes responses", () => {
    expect(run({ mutations: { responseMutations: [put("x-a", "1"), remove("server")] } }).response).toEqual([
      "append x-a=1",
      "remove server",
    ]);
  });

  it("goes from its own changes to the route's and the host's; the other way round when asked", () => {
    const level = (value: string) => ({ mutations: { requestMutations: [put("x", value, 2)] } });
    const own = level("own");
    const given = [{}, ofRoute(level("route")), ofRoute(level("host"))] as const;
    expect(run(own, ...given).request).toEqual(["set x=own", "set x=route", "set x=host"]);
    const reversed = run({ ...own, mostSpecificHeaderMutationsWins: true }, ...given);
    expect(reversed.request).toEqual(["set x=own", "set x=host", "set x=route"]);
  });

  it.each<[string, Mutation, string]>([
    ["framing", put("Content-Length", "1"), "mutations.request_mutations[0].append.header.key: content-length cannot"],
    ["the method", put(":method", "PUT"), ":method cannot be changed"],
    ["the host going away", remove("host"), "host cannot be removed"],
    ["the path going away", remove(":path"), ":path cannot be removed"],
    ["no name", put("", "1"), "header.key: required"],
    ["nothing to do", {}, "mutations.request_mutations[0]: an action is required"],
  ])("refuses %s", (_title, mutation, message) => {
    expect(() => decode({ mutations: { requestMutations: [mutation] } })).toThrow(message);
  });
});
