import type { VirtualService } from "@lateen/mesh-model";

type Spec = VirtualService["spec"];
export type HttpRule = NonNullable<Spec["http"]>[number];
export type TlsRule = NonNullable<Spec["tls"]>[number];
export type TcpRule = NonNullable<Spec["tcp"]>[number];

/** What one match of a route has to say for itself when others match as well. Compared field by field, in this order. */
export interface Precedence {
  /** Exact path 3, prefix 2, regular expression 1, every path 0. */
  readonly path: 0 | 1 | 2 | 3;
  /** Characters of the path. */
  readonly pathLength: number;
  readonly method: boolean;
  readonly headers: number;
  readonly queryParams: number;
}

/** An HTTP rule of one match, with where it was written. */
export interface RankedRule {
  readonly precedence: Precedence;
  readonly rule: HttpRule;
  /** `HTTPRoute default/reviews rules[1]` */
  readonly origin: string;
}

/** The object a fragment was made of. */
export interface FragmentSource {
  /** `HTTPRoute/name.namespace` */
  readonly parent: string;
  readonly namespace: string;
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly created: number;
}

/** What one route contributes to one host at one place; fragments of equal groups become one virtual service. */
export interface RouteFragment {
  readonly group: string;
  readonly source: FragmentSource;
  /** Its number among the fragments of its source. */
  readonly index: number;
  readonly semantics: "gateway" | "ingress";
  readonly hosts: readonly string[];
  /** `namespace/name`, or `mesh`. */
  readonly gateways: readonly string[];
  readonly exportTo: readonly string[];
  readonly http: readonly RankedRule[];
  readonly tls: readonly TlsRule[];
  readonly tcp: readonly TcpRule[];
}
