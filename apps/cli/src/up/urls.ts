import type { Supervisor } from "@lateen/local-runtime";

/** At most this many are printed. */
const MAX_URLS = 8;
const PATHS_PER_RULE = 2;

/** Addresses to open in a browser: the paths that virtual services bound to the ingress gateway name, for hosts that match localhost. */
export function ingressUrls(mesh: Pick<Supervisor, "ingressPort" | "world">): readonly string[] {
  const base = `http://localhost:${mesh.ingressPort}`;
  const gateways = new Set(mesh.world.gateways().map(({ metadata }) => metadata.name));
  const urls = new Set<string>();
  for (const service of mesh.world.virtualServices()) {
    const bound = (service.spec.gateways ?? []).some((name) => gateways.has(name.slice(name.indexOf("/") + 1)));
    if (!bound || !(service.spec.hosts ?? []).includes("*")) continue;
    // A rule's first paths are its front pages; the others are usually parts of them.
    const matches = (service.spec.http ?? []).flatMap((route) => route.match ?? [{}]);
    for (const { uri } of matches.slice(0, PATHS_PER_RULE)) urls.add(base + (uri?.exact ?? uri?.prefix ?? "/"));
  }
  return urls.size === 0 ? [base] : [...urls].slice(0, MAX_URLS);
}
