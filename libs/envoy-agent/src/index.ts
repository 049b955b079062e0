export { type Discovery, type EnvoyBootstrapOptions, envoyBootstrap } from "./envoy-bootstrap.ts";
export { type GrpcBootstrapOptions, grpcBootstrap } from "./grpc-bootstrap.ts";
export { nodeDocument, type StockNode } from "./node.ts";
