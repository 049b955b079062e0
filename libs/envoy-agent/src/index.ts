export { type Discovery, type EnvoyBootstrapOptions, envoyBootstrap } from "./envoy-bootstrap.ts";
export { type FileSecret, fileSecret, type SystemRoots } from "./file-secrets.ts";
export { type GrpcBootstrapOptions, grpcBootstrap } from "./grpc-bootstrap.ts";
export { nodeDocument, type StockNode } from "./node.ts";
export { bootstrapSettings } from "./proxy-config.ts";
