import { err, nearestName, ok, type Result } from "@lateen/kernel";
import { DEFAULT_REVISION, REVISION_FORM } from "@lateen/mesh-model";

/** What is installed. */
export const PROFILES = ["minimal", "default", "demo"] as const;
export type Profile = (typeof PROFILES)[number];

/** Everything that an installation may be told. */
export interface InstallSettings {
  readonly profile: Profile;
  /** Images are `HUB/APP:TAG`. */
  readonly hub: string;
  readonly tag: string;
  readonly imagePullPolicy: string;
  readonly trustDomain: string;
  /** Name of the cluster, a label of every workload. */
  readonly clusterName: string;
  /** Which of several control planes of the cluster; `default` has the plain names, and the gateways. */
  readonly revision: string;
}

/** Default tag: that of this release. */
export const RELEASE = "0.1.0";

const DEFAULTS: InstallSettings = {
  profile: "default",
  hub: "lateen",
  tag: RELEASE,
  imagePullPolicy: "IfNotPresent",
  trustDomain: "cluster.local",
  clusterName: "Kubernetes",
  revision: DEFAULT_REVISION,
};

/** Istio's names of the settings, as `--set` and the chart's values write them. */
export const SETTING_NAMES: Readonly<Record<string, keyof InstallSettings>> = {
  profile: "profile",
  revision: "revision",
  "global.hub": "hub",
  "global.tag": "tag",
  "global.imagePullPolicy": "imagePullPolicy",
  "global.multiCluster.clusterName": "clusterName",
  "meshConfig.trustDomain": "trustDomain",
};
/** Shorter names of some. */
const ALIASES: Readonly<Record<string, keyof InstallSettings>> = { hub: "hub", tag: "tag" };

/** What a value of a setting looks like. */
export const SETTING_FORMS: Readonly<Record<keyof InstallSettings, RegExp>> = {
  profile: new RegExp(`^(${PROFILES.join("|")})$`),
  hub: /^[a-z0-9]([-a-z0-9._:/]*[a-z0-9])?$/,
  tag: /^\w[\w.-]{0,127}$/,
  imagePullPolicy: /^(Always|IfNotPresent|Never)$/,
  revision: REVISION_FORM,
  trustDomain: /^[a-z0-9]([-a-z0-9._]*[a-z0-9])?$/,
  clusterName: /^[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?$/,
};

/** The defaults of a profile. */
export function settingsOf(profile: Profile): InstallSettings {
  return { ...DEFAULTS, profile };
}

/**
 * Settings from `name=value` assignments; later ones win.
 * @returns all problems at once: names that are none, values that cannot be.
 */
export function readSettings(assignments: readonly string[]): Result<InstallSettings, readonly string[]> {
  const problems: string[] = [];
  const settings: Record<keyof InstallSettings, string> = { ...DEFAULTS };
  const known = { ...SETTING_NAMES, ...ALIASES };
  for (const assignment of assignments) {
    const equals = assignment.indexOf("=");
    const name = assignment.slice(0, equals);
    const value = assignment.slice(equals + 1);
    const setting = Object.hasOwn(known, name) ? known[name] : undefined;
    if (equals <= 0) problems.push(`"${assignment}": a setting is written name=value`);
    else if (setting === undefined) {
      const near = nearestName(name, Object.keys(known));
      problems.push(`there is no setting "${name}"${near === undefined ? "" : `, did you mean ${near}?`}`);
    } else if (!SETTING_FORMS[setting].test(value))
      problems.push(`${name}: "${value}" is not possible${choices(setting)}`);
    else settings[setting] = value;
  }
  return problems.length > 0 ? err(problems) : ok(settings as InstallSettings);
}

function choices(setting: keyof InstallSettings): string {
  if (setting === "profile") return `; there are ${PROFILES.join(", ")}`;
  return setting === "imagePullPolicy" ? "; there are Always, IfNotPresent, Never" : "";
}
