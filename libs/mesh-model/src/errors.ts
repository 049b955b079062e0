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
  /** The configuration of rate limits cannot be used. */
  rateLimits: "LTN1016",
} as const satisfies Readonly<Record<string, ErrorCode>>;

/** What a code means to the person who reads it, and what to do. The reference documentation is made of this. */
export const codeMeanings: Readonly<Record<keyof typeof codes, string>> = {
  syntax: "The text is not YAML or JSON. Only the document it is in is lost, the others of the file are read.",
  bounds: "The text is too long, nested too deeply, has too many documents, or its aliases expand too far.",
  unknownKind: "`apiVersion` or `kind` is not one of the mesh's; the hint names the nearest.",
  unknownField:
    "The field is not part of the API; the hint names the nearest. A warning where a newer Kubernetes may have it.",
  wrongType: "The value is of another type, such as a number where a string must be.",
  missingField: "A field that must be there is not.",
  unsupported:
    "The field, value or kind is part of Istio's API, and this release would not honour it. It is refused rather than ignored.",
  badValue: "The value is not in the list, or not in the range.",
  ignoredKind: "A warning: the kind has nothing to do with the mesh (a Role, an autoscaler …) and is left out.",
  metadata: "A name, namespace or label that Kubernetes would refuse.",
  duplicate: "The same name is written twice.",
  suspicious: "A warning: legal, and most likely not what was meant.",
  conflict: "Two fields contradict each other.",
  noFreeAddress: "No address of the service range is free.",
  meshConfig: "The mesh configuration cannot be used as a whole.",
  rateLimits:
    "The configuration of a domain's rate limits cannot be used as a whole; the last good one stays in force.",
};
