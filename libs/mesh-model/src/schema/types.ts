/**
 * Schemas as data: one description per kind serves the decoder, the TypeScript types ({@link Infer}), error hints, and later
 * the CRDs. A decoded object keeps the JSON shape of Istio's and Kubernetes' API exactly; nothing is renamed.
 */
export type SchemaNode =
  | StringNode
  | NumberNode
  | { readonly type: "boolean" }
  | { readonly type: "any" }
  | EnumNode
  | { readonly type: "duration" }
  | { readonly type: "intOrString" }
  | { readonly type: "array"; readonly items: SchemaNode }
  | { readonly type: "map"; readonly values: SchemaNode }
  | ObjectNode;

export interface StringNode {
  readonly type: "string";
}
export interface NumberNode {
  readonly type: "number";
  readonly integer: boolean;
  readonly min?: number;
  readonly max?: number;
}
/** A string out of a list; proto JSON also allows the enum's number, given by position where `numbers` is set. */
export interface EnumNode {
  readonly type: "enum";
  readonly values: readonly string[];
  /** Spellings that are accepted and replaced, as Istio does for deprecated names. */
  readonly aliases?: Readonly<Record<string, string>>;
}
export interface ObjectNode {
  readonly type: "object";
  readonly fields: Readonly<Record<string, FieldNode>>;
}
export interface FieldNode {
  readonly schema: SchemaNode;
  readonly required: boolean;
  /** Set when the field is known but this release cannot honour it: its use is an error with this reason. */
  readonly unsupported?: string;
}

declare const inferred: unique symbol;
declare const optional: unique symbol;

/** A schema that decodes to `T`. */
export type Schema<T> = SchemaNode & { readonly [inferred]?: T };
/** The decoded TypeScript type of a schema. */
export type Infer<S> = S extends { readonly [inferred]?: infer T } ? T : never;

/** A field that may be absent. */
export interface Optional<T> {
  readonly field: FieldNode;
  readonly [optional]?: T;
}

/** Fields are optional unless marked {@link required}; that is Kubernetes' habit. */
export interface Required<T> {
  readonly requiredField: FieldNode;
  readonly [optional]?: T;
}

export type FieldDefinitions = Readonly<Record<string, Schema<unknown> | Required<unknown> | Optional<unknown>>>;
type FieldType<F> = F extends Required<infer T> ? T : F extends Optional<infer T> ? T : Infer<F>;
type RequiredKeys<F> = { [K in keyof F]: F[K] extends { readonly requiredField: FieldNode } ? K : never }[keyof F];
export type InferObject<F> = { readonly [K in RequiredKeys<F>]: FieldType<F[K]> } & {
  readonly [K in Exclude<keyof F, RequiredKeys<F>>]?: FieldType<F[K]>;
};
