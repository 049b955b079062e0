/** The way to the control plane. A module of its own, so that it is loaded only when there is a control plane. */
export { connectAds, connectAls, signCsr } from "@lateen/adapter-grpc";
