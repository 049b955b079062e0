import type { ErrorCode } from "@lateen/kernel";

/** Codes of this lib, LTN1000–LTN1999. A code is retired, never reused. Analysis findings carry Istio's IST codes instead. */
export const codes = {
  /** The text is not YAML or JSON. */
  syntax: "LTN1001",
  /** Text, nesting, aliases or number of documents beyond the bounds. */
  bounds: "LTN1002",
  /** `apiVersion` or `kind` is missing or unknown. */
  unknownKind: "LTN1003",
  unknownField: "LTN1004",
  wrongType: "LTN1005",
  missingField: "LTN1006",
  /** A known field, value or kind that this release refuses rather than ignores. */
  unsupported: "LTN1007",
  /** A value outside the list or range. */
  badValue: "LTN1008",
  /** A kind that is not part of the mesh; the object is left out. */
  ignoredKind: "LTN1009",
  metadata: "LTN1010",
  /** The same name is written twice in one object. */
  duplicate: "LTN1011",
  /** Legal, and most likely not what was meant. */
  suspicious: "LTN1012",
  /** Fields contradict one another. */
  conflict: "LTN1013",
  /** The service address range is used up. */
  noFreeAddress: "LTN1014",
  /** The mesh configuration cannot be used. */
  meshConfig: "LTN1015",
} as const satisfies Readonly<Record<string, ErrorCode>>;
