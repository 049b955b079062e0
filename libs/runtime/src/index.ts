export {
  type AdmissionRequest,
  type AdmissionVerdict,
  admissionReview,
  readAdmissionReview,
} from "./admission.ts";
export {
  componentFlags,
  identifiedFlags,
  kubernetesFlags,
  natsFlags,
  needed,
  portFlag,
  readTokenKey,
  revisionFlag,
  writePorts,
} from "./component-flags.ts";
export { type ConfigSource, formatConfig, type ReadConfig, readConfig } from "./config.ts";
export { addressInUse, addressNotAllowed, badConfiguration } from "./errors.ts";
export { atomicWriteFile, ensureDirectory, isErrno, readFileIfExists } from "./files.ts";
export {
  defineFlags,
  type FlagSpec,
  type FlagSpecs,
  type Flags,
  type FlagValues,
  flagName,
  helpText,
  variableName,
} from "./flags.ts";
export { followTexts, readTexts, type Texts } from "./follow-texts.ts";
export { createHttp, type HttpAddress, type HttpOptions, listenHttp } from "./http.ts";
export {
  type AdjustableLogger,
  createAdjustableLogger,
  createLogger,
  type LoggerOptions,
  type LogLevel,
} from "./logger.ts";
export { environmentMetadata, jsonOf, labelledLocality } from "./node-metadata.ts";
export {
  EXIT_SOFTWARE,
  EXIT_USAGE,
  type MainContext,
  type RunMainOptions,
  readProcessConfig,
  runMain,
} from "./run-main.ts";
export { type StatusFaceOptions, serveStatus } from "./status-face.ts";
export { serveWebhooks, type WebhookFace, type WebhookFaceOptions, type WebhookTls } from "./webhook-face.ts";
