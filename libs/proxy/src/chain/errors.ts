import { LateenError } from "@lateen/kernel";

/** LTN5101: an access-log format asks for what this proxy cannot tell. */
export function badAccessLogFormat(reason: string): LateenError {
  return new LateenError({ code: "LTN5101", fault: "user", message: `cannot use the access log format: ${reason}` });
}

/** LTN5102: a filter chain names an HTTP filter that this worker was not given. */
export function unknownFilter(name: string): LateenError {
  return new LateenError({ code: "LTN5102", fault: "user", message: `HTTP filter ${name} is not known to this proxy` });
}
