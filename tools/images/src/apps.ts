/** What is special about an app's image. */
export interface AppImage {
  readonly describe: string;
  readonly ports: readonly number[];
  /** Recovers original destinations: needs the native module. */
  readonly proxy?: boolean;
  /** Is also the init container, which puts the capture rules in force. */
  readonly iptables?: boolean;
}

/** Every app that is an image. Ports are the usual ones; all can be moved. */
export const APP_IMAGES: Readonly<Record<string, AppImage>> = {
  "control-plane": {
    describe: "all control components in one process",
    ports: [8060, 9091, 9901, 15_012, 15_014, 15_017, 15_080, 42_422],
  },
  pilot: { describe: "configuration for proxies (xDS)", ports: [15_012, 15_014, 15_080] },
  citadel: { describe: "certificates", ports: [8060, 15_014] },
  galley: { describe: "validation and distribution of configuration", ports: [9901, 15_014, 15_017] },
  mixer: { describe: "policy checks and telemetry", ports: [9091, 15_014, 42_422] },
  "sidecar-injector": { describe: "adds the sidecar to pods", ports: [15_014, 15_017] },
  sidecar: {
    describe: "the proxy beside a workload",
    ports: [15_000, 15_001, 15_006, 15_020, 15_021, 15_090],
    proxy: true,
    iptables: true,
  },
  "ingress-gateway": {
    describe: "the proxy at the edge, for requests that come in",
    ports: [8080, 8443, 15_020, 15_021, 15_090],
    proxy: true,
  },
  "egress-gateway": {
    describe: "the proxy at the edge, for requests that go out",
    ports: [8080, 8443, 15_020, 15_021, 15_090],
    proxy: true,
  },
};

/** User and group of every process, and of no other: the capture rules let its connections through. */
export const MESH_UID = 1337;
