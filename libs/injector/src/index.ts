export {
  type InjectionConfig,
  type InjectionTexts,
  injectionSchema,
  readInjectionConfig,
} from "./config/injection-config.ts";
export { type ProxyConfigs, proxyConfigsOfDocuments, proxyConfigsOfTopic } from "./config/proxy-configs.ts";
export { type InjectionValues, valuesSchema, type WrittenValues } from "./config/values.ts";
export {
  type Decision,
  type DecisionInput,
  type DecisionPolicy,
  type DecisionReason,
  decideInjection,
} from "./decision.ts";
export { type InjectedText, injectDocuments } from "./documents.ts";
export { STATUS_ANNOTATION } from "./finish.ts";
export { type Injection, injectPod, type PodPlace } from "./inject.ts";
export { createInjector, type Injector, type WebhookPlace } from "./injector.ts";
export { ownerOf, type PodOwner } from "./owner.ts";
export { jsonPatch, type PatchOperation } from "./patch.ts";
export { injectorRoutes } from "./routes.ts";
export {
  IGNORED_NAMESPACES,
  type SelectionOptions,
  type WebhookSelection,
  webhookSelections,
} from "./selectors.ts";
