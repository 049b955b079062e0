import { type ExtensionProvider, keyOf, type Telemetry } from "@lateen/mesh-model";
import type { Read } from "../engine/query-engine.ts";
import { collectorOf } from "../lower/tracing.ts";
import { cells } from "../world/mesh-snapshot.ts";
import { meshConfigOf } from "../world/services.ts";
import { providerNamed } from "../world/telemetry.ts";
import { type CompilerWarning, warningAbout } from "./compiler-warning.ts";

/** What Telemetry objects ask for and proxies of this project do not do, and providers that nobody can use. */
export function withheldTelemetry(read: Read, key: string): readonly CompilerWarning[] {
  const telemetry = read.input(cells.object(key)) as Telemetry | undefined;
  if (telemetry === undefined) return [];
  const config = meshConfigOf(read);
  const { accessLogging = [], tracing = [], metrics = [] } = telemetry.spec ?? {};
  const unusable = (
    part: "accessLogging" | "tracing" | "metrics",
    entries: readonly { readonly providers?: readonly { readonly name: string }[] }[],
    usable: (provider: ExtensionProvider) => boolean,
  ) =>
    entries.flatMap(({ providers = [] }, index) =>
      providers.flatMap(({ name }, at) => {
        const provider = providerNamed(config, name);
        if (provider !== undefined && usable(provider)) return [];
        const what = provider === undefined ? "is not defined in extensionProviders" : "is not of a kind for this";
        return [warning(telemetry, "LTN3120", `spec.${part}[${index}].providers[${at}]`, `provider "${name}" ${what}`)];
      }),
    );
  return [
    ...unusable("accessLogging", accessLogging, (one) => (one.envoyFileAccessLog ?? one.envoyHttpAls) !== undefined),
    ...unusable("tracing", tracing, (one) => collectorOf(one) !== undefined),
    ...unusable("metrics", metrics, (one) => one.prometheus === true),
  ];
}

function warning(telemetry: Telemetry, code: string, path: string, message: string): CompilerWarning {
  return warningAbout(keyOf(telemetry), code, path, message);
}
