/** The revision of an installation that names none: its objects have plain names. */
export const DEFAULT_REVISION = "default";

/** What a revision is called: short enough for every name that it is part of. */
export const REVISION_FORM = /^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$/;

/** Label of namespaces, pods, rules and installed objects that says of which revision they are. */
export const REVISION_LABEL = "istio.io/rev";

/** Components of the control plane that have a service account of their own. */
export const CONTROL_COMPONENTS = ["pilot", "citadel", "galley", "mixer", "sidecar-injector"] as const;
export type ControlComponent = (typeof CONTROL_COMPONENTS)[number];

/** The name that an object of the control plane has in a revision: `istiod`, in revision canary `istiod-canary`. */
export function nameInRevision(name: string, revision: string): string {
  return revision === DEFAULT_REVISION ? name : `${name}-${revision}`;
}

/** Service account of a component: `istio-pilot-service-account`, in revision canary `istio-pilot-service-account-canary`. */
export function controlAccount(component: ControlComponent, revision: string = DEFAULT_REVISION): string {
  return nameInRevision(`istio-${component}-service-account`, revision);
}

/** Whose a service account of the control plane's namespace is. Undefined: it is nobody's of the control plane. */
export function parseControlAccount(
  account: string,
): { readonly component: ControlComponent; readonly revision: string } | undefined {
  for (const component of CONTROL_COMPONENTS) {
    const plain = controlAccount(component);
    if (account === plain) return { component, revision: DEFAULT_REVISION };
    if (!account.startsWith(`${plain}-`)) continue;
    const revision = account.slice(plain.length + 1);
    if (REVISION_FORM.test(revision) && revision !== DEFAULT_REVISION) return { component, revision };
  }
  return undefined;
}

/** The MutatingWebhookConfiguration of a revision, by which an API server asks its injector. */
export function injectionWebhookOf(revision: string): string {
  return nameInRevision("istio-sidecar-injector", revision);
}

/** The ValidatingWebhookConfiguration of a revision. */
export function validationWebhookOf(revision: string): string {
  return `${nameInRevision("istio-validator", revision)}-istio-system`;
}
