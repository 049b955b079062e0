export { createTestCa, type TestCa, type TestCertificate } from "./certificates/test-ca.ts";
export { golden, goldenCases } from "./goldens/golden-file.ts";
export { type LogLine, type RecordingLogger, recordingLogger } from "./logging/recording-logger.ts";
export { DEAD_PORTS } from "./ports/dead-ports.ts";
export { type ManualClock, manualClock } from "./time/manual-clock.ts";
export { eventually } from "./waiting/eventually.ts";
