export const DYNAMIC_FORWARD_PROXY = "envoy.filters.http.dynamic_forward_proxy";
