// Generates libs/proto/src/gen from proto/ and the Envoy API inside @grpc/grpc-js-xds (see buf.gen.yaml).
// The copy of validate.proto shipped there lacks a field that the Envoy API uses; a patched copy goes to .proto-deps.
import { execFileSync } from "node:child_process";
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const source = readFileSync("node_modules/@grpc/grpc-js-xds/deps/protoc-gen-validate/validate/validate.proto", "utf8");
const patched = source.replace(
  /(KnownRegex well_known_regex = 24;[\s\S]*?)optional bool strict/,
  "$1optional bool ignore_empty = 26;\n  optional bool strict",
);
mkdirSync(".proto-deps/validate", { recursive: true });
writeFileSync(".proto-deps/validate/validate.proto", patched);
execFileSync("buf", ["generate"], {
  stdio: "inherit",
  env: { ...process.env, PATH: `${process.cwd()}/node_modules/.bin:${process.env.PATH}` },
});

// ts-proto writes google.protobuf.Duration as an object; proto JSON has it as text ("1.5s"), also when it is zero.
const durationFile = "libs/proto/src/gen/google/protobuf/duration.ts";
const written = readFileSync(durationFile, "utf8");
const withText = written
  .replace(
    "import { messageTypeRegistry }",
    'import { durationFromJson, durationToJson } from "../../../duration-json.ts";\nimport { messageTypeRegistry }',
  )
  .replace(
    /fromJSON\(object: any\): Duration \{[\s\S]*?\n {2}\},/,
    "fromJSON(object: any): Duration {\n    return durationFromJson(object);\n  },",
  )
  .replace(
    /toJSON\(message: Duration\): unknown \{[\s\S]*?\n {2}\},/,
    "toJSON(message: Duration): unknown {\n    return durationToJson(message);\n  },",
  );
if (withText.split("durationFromJson").length !== 3 || withText.split("durationToJson").length !== 3) {
  throw new Error(`${durationFile} does not look as expected`);
}
writeFileSync(durationFile, withText);

// What EnvoyFilters may say is any message of Envoy: their descriptors, packed, for reading such messages from JSON.
const deps = "node_modules/@grpc/grpc-js-xds/deps";
const described = globSync([
  `${deps}/envoy-api/envoy/{config,extensions,type}/**/v3/*.proto`,
  `${deps}/xds/{xds,udpa/type}/**/*.proto`,
]).filter((file) => !/\/(tap|resource_monitors)\/|opencensus|trace\/v3\/trace\.proto/.test(file));
const binary = "libs/proto/src/gen/descriptors.binpb";
execFileSync(
  "buf",
  [
    "build",
    "--exclude-source-info",
    "-o",
    binary,
    "--path",
    "proto/istio",
    ...described.sort().flatMap((file) => ["--path", file]),
  ],
  { stdio: "inherit", env: { ...process.env, PATH: `${process.cwd()}/node_modules/.bin:${process.env.PATH}` } },
);
const packed = gzipSync(readFileSync(binary), { level: 9 }).toString("base64");
rmSync(binary);
writeFileSync(
  "libs/proto/src/gen/descriptors.ts",
  `/** A google.protobuf.FileDescriptorSet of Envoy's messages: gzip, base64. */\nexport const DESCRIPTORS =\n  "${packed}";\n`,
);
