export { type MemoryBusOptions, memoryBus } from "./bus/memory-bus.ts";
export { httpDocuments } from "./documents/http-documents.ts";
export { type JournalStoreOptions, journalConfigStore } from "./journal/journal-store.ts";
export { type FileLeaseOptions, fileLease } from "./lease/file-lease.ts";
export { type MemoryQuotaOptions, memoryQuotaStore } from "./quota/memory-quota-store.ts";
export { filePodRegistry, type PodRegistryOptions } from "./registry/file-pod-registry.ts";
export { fileSecretStore } from "./secrets/file-secret-store.ts";
export { type FileSourceOptions, fileConfigSource } from "./source/file-source.ts";
export { type HttpTelemetryOptions, httpTelemetrySource } from "./telemetry/http-telemetry-source.ts";
