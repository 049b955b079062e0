import { nameInRevision } from "@lateen/mesh-model";

/** MeshConfig extension provider (`envoyHttpAls`) that sends access logs to mixer, under its name in the root namespace. */
export function mixerProvider(revision: string) {
  return {
    name: "mixer",
    envoyHttpAls: {
      service: `${nameInRevision("istio-mixer", revision)}.istio-system.svc.cluster.local`,
      port: 9091,
      logName: "http_envoy_accesslog",
      additionalRequestHeadersToLog: [],
      additionalResponseHeadersToLog: [],
    },
  } as const;
}
