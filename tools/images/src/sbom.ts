import { spawnSync } from "node:child_process";
import { existsSync, globSync, readFileSync, realpathSync } from "node:fs";
import { join, resolve } from "node:path";

/** Of dpkg-query, whose placeholders look like ours. */
const VERSION_FORMAT = "-f=$" + "{Version}";
const ROOT = resolve(import.meta.dirname, "../../..");

interface Component {
  readonly type: "application" | "library";
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly licenses?: readonly { readonly license: { readonly id: string } }[];
}

/** What an image is made of, as a CycloneDX 1.6 document. It has no time and no serial number: equal images have equal bills. */
export interface Sbom {
  readonly bomFormat: "CycloneDX";
  readonly specVersion: "1.6";
  readonly version: 1;
  readonly metadata: {
    readonly component: { readonly type: "container"; readonly name: string; readonly version: string };
  };
  readonly components: readonly Component[];
}

/**
 * The bill of materials of an app's image: node, the packages whose code is in the bundle (by its source maps) and the distribution's packages
 * that files of this machine are from.
 */
export function sbomOf(
  image: string,
  tag: string,
  app: string,
  nodeVersion: string,
  fromHost: readonly string[],
): Sbom {
  const components = [
    { type: "application" as const, name: "node", version: nodeVersion, purl: `pkg:generic/node@${nodeVersion}` },
    ...npmPackages(app),
    ...distributionPackages(fromHost),
  ];
  return {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: { component: { type: "container", name: image, version: tag } },
    components: components.sort((a, b) => (a.purl < b.purl ? -1 : 1)),
  };
}

function npmPackages(app: string): readonly Component[] {
  const names = new Set<string>(existsSync(join(ROOT, "apps", app, "dist/worker.js")) ? ["koffi"] : []);
  for (const file of globSync("dist/*.js.map", { cwd: join(ROOT, "apps", app) })) {
    const { sources } = JSON.parse(readFileSync(join(ROOT, "apps", app, file), "utf8")) as {
      sources: readonly string[];
    };
    for (const source of sources) {
      const name = /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(source)?.[1];
      if (name !== undefined) names.add(name);
    }
  }
  return [...names].flatMap((name) => {
    const path = join(ROOT, "node_modules", name, "package.json");
    if (!existsSync(path)) return [];
    const { version, license } = JSON.parse(readFileSync(path, "utf8")) as { version: string; license?: string };
    return [
      {
        type: "library" as const,
        name,
        version,
        purl: `pkg:npm/${name.replace("@", "%40")}@${version}`,
        ...(license === undefined ? {} : { licenses: [{ license: { id: license } }] }),
      },
    ];
  });
}

/** Debian's packages that files are from; none on machines without dpkg. */
function distributionPackages(files: readonly string[]): readonly Component[] {
  if (files.length === 0) return [];
  const real = files.flatMap((file) => [file, realpathSync(file)]);
  // What a merged /usr has at /usr/lib, dpkg may know as /lib.
  const asked = new Set(real.flatMap((file) => [file, file.replace(/^\/usr\/lib/, "/lib")]));
  const { stdout = "" } = spawnSync("dpkg", ["-S", ...asked], { encoding: "utf8" });
  const names = new Set([...(stdout ?? "").matchAll(/^([^:,\s]+(?::\w+)?): /gm)].map(([, name = ""]) => name));
  return [...names].map((name) => {
    const { stdout: version } = spawnSync("dpkg-query", ["-W", VERSION_FORMAT, name], { encoding: "utf8" });
    return { type: "library" as const, name, version, purl: `pkg:deb/debian/${name.split(":")[0]}@${version}` };
  });
}
