/** MeshConfig extension provider (`envoyHttpAls`) that sends access logs to mixer, under its name in the root namespace. */
export const MIXER_PROVIDER = {
  name: "mixer",
  envoyHttpAls: {
    service: "istio-mixer.istio-system.svc.cluster.local",
    port: 9091,
    logName: "http_envoy_accesslog",
    additionalRequestHeadersToLog: [],
    additionalResponseHeadersToLog: [],
  },
} as const;
