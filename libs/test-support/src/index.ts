export { createTestCa, type TestCa, type TestCertificate } from "./certificates/test-ca.ts";
export { type BusPromise, type BusUnderTest, busPromises } from "./contracts/bus-promises.ts";
export { type QuotaStoreUnderTest, quotaStoreContract, type TestApi } from "./contracts/quota-store.ts";
export { golden, goldenCases } from "./goldens/golden-file.ts";
export { type Mutation, mutationsOf } from "./hostile/mutations.ts";
export type { ReachService } from "./kubernetes/admission.ts";
export {
  type ApiServerOptions,
  type Fault,
  type ReviewedUser,
  startApiServer,
  type TestApiServer,
} from "./kubernetes/api-server.ts";
export type { ApiRequest } from "./kubernetes/requests.ts";
export type { ApiResource } from "./kubernetes/resource-table.ts";
export type { StoredObject } from "./kubernetes/storage.ts";
export { type LogLine, type RecordingLogger, recordingLogger } from "./logging/recording-logger.ts";
export { startTcpRelay, type TcpRelay } from "./network/tcp-relay.ts";
export { DEAD_PORTS } from "./ports/dead-ports.ts";
export { freePort, freePorts } from "./ports/free-port.ts";
export { KubernetesServer, type KubernetesServerOptions, kubernetesPrograms } from "./programs/kubernetes-server.ts";
export { NatsServer, natsServerPath } from "./programs/nats-server.ts";
export { RedisServer, redisServerPath } from "./programs/redis-server.ts";
export { type ManualClock, manualClock } from "./time/manual-clock.ts";
export { eventually } from "./waiting/eventually.ts";
