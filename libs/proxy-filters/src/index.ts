export { httpFilters, networkFilters } from "./factories.ts";
export { httpFilterRuntimes, networkFilterRuntimes } from "./runtimes.ts";
