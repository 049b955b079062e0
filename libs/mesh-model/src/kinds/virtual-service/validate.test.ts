import { describe, expect, it } from "vitest";
import { documentOf, findingsOf } from "../../testing/findings.ts";

/** An http rule inside an otherwise good virtual service. */
const http = (rule: string) => `{hosts: [a], http: [${rule}]}`;
const ROUTE = "route: [{destination: {host: b}}]";

describe("a VirtualService is accepted", () => {
  it.each([
    [
      "with every kind of match",
      http(
        `{match: [{uri: {prefix: /a}, scheme: {exact: http}, method: {regex: "GET|PUT"}, authority: {exact: b}, headers: {x: {exact: "1"}, y: {}}, withoutHeaders: {z: {prefix: q}}, queryParams: {p: {regex: ".+"}}, port: 80, ignoreUriCase: true, sourceLabels: {app: c}, sourceNamespace: d, gateways: [mesh]}], ${ROUTE}}`,
      ),
    ],
    [
      "with resilience",
      http(
        `{${ROUTE}, timeout: 0s, retries: {attempts: 3, perTryTimeout: 2s, retryOn: "5xx, 503, gateway-error", backoff: 25ms}}`,
      ),
    ],
    ["with retries switched off", http(`{${ROUTE}, retries: {attempts: 0}}`)],
    [
      "with faults",
      http(
        `{${ROUTE}, fault: {delay: {fixedDelay: 7s, percentage: {value: 0.1}}, abort: {grpcStatus: UNAVAILABLE, percentage: {value: 100}}}}`,
      ),
    ],
    ["with a redirect", http("{redirect: {authority: c, redirectCode: 308}}")],
    ["with a prefix redirect", http("{match: [{uri: {prefix: /a}}], redirect: {prefixRewrite: /b}}")],
    ["with a direct response", http('{directResponse: {status: 503, body: {string: "gone"}}}')],
    ["with a delegate", http("{match: [{uri: {prefix: /a}}], delegate: {name: b, namespace: c}, timeout: 1s}")],
    ["that is a delegate", `{http: [{${ROUTE}}]}`],
    [
      "with cors",
      http(
        `{${ROUTE}, corsPolicy: {allowOrigins: [{exact: "https://a"}, {regex: ".*"}], allowMethods: [GET, "*"], allowHeaders: [x-a], exposeHeaders: [x-b], maxAge: 24h, allowCredentials: true, unmatchedPreflights: IGNORE}}`,
      ),
    ],
    ["with retries elsewhere", http(`{${ROUTE}, retries: {attempts: 2, retryRemoteLocalities: true}}`)],
    ["with weights", http("{route: [{destination: {host: b}, weight: 0}, {destination: {host: c}, weight: 1}]}")],
    [
      "with mirrors",
      http(`{${ROUTE}, mirrors: [{destination: {host: c}, percentage: {value: 5}}, {destination: {host: d}}]}`),
    ],
    [
      "with header operations",
      http(`{${ROUTE}, headers: {request: {set: {":authority": x, x-a: "%REQ(y)%"}, add: {b: "50%%"}, remove: [c]}}}`),
    ],
    ["with a regex rewrite", http(`{${ROUTE}, rewrite: {uriRegexRewrite: {match: "^/(.*)$", rewrite: '/v1/\\1'}}}`)],
    [
      "with tls routes",
      "{hosts: ['*.example.com'], tls: [{match: [{sniHosts: [a.example.com], port: 443}], route: [{destination: {host: a.example.com}}]}]}",
    ],
    [
      "with tcp routes",
      "{hosts: [a], tcp: [{match: [{port: 27017, destinationSubnets: [10.0.0.0/8]}], route: [{destination: {host: b}, weight: 1}]}]}",
    ],
    ["for any host at a gateway", "{hosts: ['*'], gateways: [ns/gw, gw], http: [{route: [{destination: {host: b}}]}]}"],
  ])("%s", (_, spec) => {
    expect(findingsOf(documentOf("VirtualService", spec))).toEqual([]);
  });
});

describe("a VirtualService is refused, or warned about", () => {
  it.each([
    ["without routes", "{hosts: [a]}", "error spec: at least one of http, tls, tcp is required"],
    ["without hosts", "{tcp: [{route: [{destination: {host: b}}]}]}", 'error spec: field "hosts" is required'],
    [
      "that is a delegate at a gateway",
      `{gateways: [gw], http: [{${ROUTE}}]}`,
      "error spec.gateways: gateways needs hosts: a virtual service without hosts is a delegate of others",
    ],
    [
      "that is a delegate and delegates",
      "{http: [{delegate: {name: a}}]}",
      "error spec.http[0].delegate: a delegate cannot delegate further",
    ],
    ["with an illegal host", `{hosts: ['a b'], http: [{${ROUTE}}]}`, 'error spec.hosts[0]: "a b" is not a host name'],
    [
      "with any host in the mesh",
      `{hosts: ['*'], http: [{${ROUTE}}]}`,
      'error spec.hosts[0]: host "*" cannot be used inside the mesh',
    ],
    [
      "with one host in two spellings",
      `{hosts: [a, a.default.svc.cluster.local], http: [{${ROUTE}}]}`,
      'error spec.hosts[1]: host "a.default.svc.cluster.local" is named twice',
    ],
    [
      "with an illegal gateway",
      `{hosts: [a], gateways: [a/b/c], http: [{${ROUTE}}]}`,
      'error spec.gateways[0]: "a/b/c" is not "mesh", "name" or "namespace/name"',
    ],
    [
      "with mixed exportTo",
      `{hosts: [a], exportTo: ['*', '.'], http: [{${ROUTE}}]}`,
      'error spec.exportTo: "*" cannot be combined with others',
    ],
    [
      "with a rule without action",
      http("{timeout: 1s}"),
      "error spec.http[0]: an http route needs exactly one of route, redirect, directResponse, delegate; none is there",
    ],
    [
      "with two actions",
      http(`{${ROUTE}, redirect: {uri: /}}`),
      "error spec.http[0]: an http route needs exactly one of route, redirect, directResponse, delegate; route and redirect are there",
    ],
    [
      "with a fault beside a redirect",
      http("{redirect: {uri: /}, fault: {abort: {httpStatus: 500, percentage: {value: 1}}}}"),
      "error spec.http[0].fault: fault cannot be combined with redirect",
    ],
    ["with an unknown field", http(`{${ROUTE}, timeuot: 1s}`), 'error spec.http[0].timeuot: unknown field "timeuot"'],
    [
      "with a number for a string",
      http(`{match: [{headers: {x: {exact: 1}}}], ${ROUTE}}`),
      "error spec.http[0].match[0].headers.x.exact: must be a string, not the number 1",
    ],
    [
      "with two conditions in one match",
      http(`{match: [{uri: {exact: /a, prefix: /b}}], ${ROUTE}}`),
      "error spec.http[0].match[0].uri: only one of exact, prefix can be used",
    ],
    [
      "with an empty uri match",
      http(`{match: [{uri: {}}], ${ROUTE}}`),
      "error spec.http[0].match[0].uri: one of exact, prefix, regex is required",
    ],
    [
      "with an empty prefix",
      http(`{match: [{uri: {prefix: ""}}], ${ROUTE}}`),
      "error spec.http[0].match[0].uri.prefix: a prefix must not be empty",
    ],
    [
      "with look-ahead",
      http(`{match: [{uri: {regex: "(?=a)"}}], ${ROUTE}}`),
      'error spec.http[0].match[0].uri.regex: "(?=a)" is not a regular expression in RE2 syntax',
    ],
    [
      "with an illegal header name",
      http(`{match: [{headers: {"a b": {exact: c}}}], ${ROUTE}}`),
      'error spec.http[0].match[0].headers["a b"]: "a b" is not a header name',
    ],
    [
      "with something of a token that is no claim",
      http(`{match: [{headers: {"@request.auth.principal": {exact: c}}}], ${ROUTE}}`),
      'error spec.http[0].match[0].headers["@request.auth.principal"]: "@request.auth.principal" names no claim',
    ],
    [
      "with zero weights",
      http("{route: [{destination: {host: b}, weight: 0}, {destination: {host: c}}]}"),
      "error spec.http[0].route: the weights of several destinations must add up to more than 0",
    ],
    [
      "with a negative weight",
      http("{route: [{destination: {host: b}, weight: -1}]}"),
      "error spec.http[0].route[0].weight: must be between 0 and 2147483647, not -1",
    ],
    [
      "with a destination that is any host",
      http("{route: [{destination: {host: '*'}}]}"),
      'error spec.http[0].route[0].destination.host: "*" cannot be a destination',
    ],
    [
      "with a port out of range",
      http("{route: [{destination: {host: b, port: {number: 70000}}}]}"),
      "error spec.http[0].route[0].destination.port.number: must be between 1 and 65535, not 70000",
    ],
    [
      "with an empty port",
      http("{route: [{destination: {host: b, port: {}}}]}"),
      'error spec.http[0].route[0].destination.port: field "number" is required',
    ],
    [
      "with a duration without unit",
      http(`{${ROUTE}, timeout: 5}`),
      "error spec.http[0].timeout: must be a duration with a unit, not the number 5",
    ],
    [
      "with a duration too short",
      http(`{${ROUTE}, timeout: 10us}`),
      'error spec.http[0].timeout: duration "10us" must be at least 1ms',
    ],
    [
      "with an unknown retry condition",
      http(`{${ROUTE}, retries: {attempts: 1, retryOn: "5xx,sometimes"}}`),
      'error spec.http[0].retries.retryOn: "sometimes" is not a retry condition or a status code',
    ],
    [
      "with retries off and on",
      http(`{${ROUTE}, retries: {attempts: 0, retryOn: 5xx}}`),
      "error spec.http[0].retries.retryOn: retryOn has no meaning when attempts is 0",
    ],
    [
      "with a fault of nothing",
      http(`{${ROUTE}, fault: {}}`),
      "error spec.http[0].fault: a fault needs delay or abort",
    ],
    [
      "with a fault for no request",
      http(`{${ROUTE}, fault: {abort: {httpStatus: 500}}}`),
      "warning spec.http[0].fault.abort: without a percentage no request is aborted",
    ],
    [
      "with an abort status out of range",
      http(`{${ROUTE}, fault: {abort: {httpStatus: 700, percentage: {value: 1}}}}`),
      "error spec.http[0].fault.abort.httpStatus: httpStatus must be between 200 and 599, not 700",
    ],
    [
      "with an exponential delay",
      http(`{${ROUTE}, fault: {delay: {exponentialDelay: 1s, percentage: {value: 1}}}}`),
      "error spec.http[0].fault.delay.exponentialDelay: exponentialDelay is not supported by any proxy",
    ],
    [
      "with a percentage above 100",
      http(`{${ROUTE}, mirror: {host: c}, mirrorPercentage: {value: 101}}`),
      "error spec.http[0].mirrorPercentage.value: must be between 0 and 100, not 101",
    ],
    [
      "with a percentage too small to tell",
      http(`{${ROUTE}, mirror: {host: c}, mirrorPercentage: {value: 0.00001}}`),
      "error spec.http[0].mirrorPercentage.value: the smallest percentage is 0.0001",
    ],
    [
      "with mirror and mirrors",
      http(`{${ROUTE}, mirror: {host: c}, mirrors: [{destination: {host: d}}]}`),
      "error spec.http[0].mirrors: mirror and mirrors exclude each other",
    ],
    [
      "with control characters in redirect.uri",
      http(`{redirect: {uri: "a\\nb"}}`),
      "error spec.http[0].redirect.uri: a header value must not contain control characters",
    ],
    [
      "with control characters in redirect.authority",
      http(`{redirect: {authority: "a\\0b"}}`),
      "error spec.http[0].redirect.authority: a header value must not contain control characters",
    ],
    [
      "with control characters in redirect.prefixRewrite",
      http(`{match: [{uri: {prefix: /a}}], redirect: {prefixRewrite: "a\\nb"}}`),
      "error spec.http[0].redirect.prefixRewrite: a header value must not contain control characters",
    ],
    [
      "with control characters in rewrite.uri",
      http(`{${ROUTE}, rewrite: {uri: "a\\nb"}}`),
      "error spec.http[0].rewrite.uri: a header value must not contain control characters",
    ],
    [
      "with control characters in rewrite.authority",
      http(`{${ROUTE}, rewrite: {authority: "a\\rb"}}`),
      "error spec.http[0].rewrite.authority: a header value must not contain control characters",
    ],
    [
      "with control characters in rewrite.uriRegexRewrite.rewrite",
      http(`{${ROUTE}, rewrite: {uriRegexRewrite: {match: a, rewrite: "a\\nb"}}}`),
      "error spec.http[0].rewrite.uriRegexRewrite.rewrite: a header value must not contain control characters",
    ],
    [
      "with a redirect to nowhere",
      http("{redirect: {}}"),
      "error spec.http[0].redirect: a redirect needs one of uri, prefixRewrite, authority, scheme, port",
    ],
    [
      "with a redirect code that is none",
      http("{redirect: {uri: /, redirectCode: 304}}"),
      "error spec.http[0].redirect.redirectCode: 304 is not one of 301, 302, 303, 307, 308",
    ],
    [
      "with a response status out of range",
      http("{directResponse: {status: 99}}"),
      "error spec.http[0].directResponse.status: status must be between 200 and 599, not 99",
    ],
    [
      "with a rewrite of nothing",
      http(`{${ROUTE}, rewrite: {}}`),
      "error spec.http[0].rewrite: a rewrite needs uri, uriRegexRewrite or authority",
    ],
    [
      "with a pseudo header added",
      http(`{${ROUTE}, headers: {request: {add: {":path": x}}}}`),
      'error spec.http[0].headers.request.add[":path"]: ":path" is not a header name',
    ],
    [
      "with host removed",
      http(`{${ROUTE}, headers: {request: {remove: [Host]}}}`),
      "error spec.http[0].headers.request.remove[0]: host cannot be removed",
    ],
    [
      "with the host of a response",
      http(`{${ROUTE}, headers: {response: {set: {Host: a}}}}`),
      "error spec.http[0].headers.response.set.Host: responses have no host",
    ],
    [
      "with a stray percent sign",
      http(`{${ROUTE}, headers: {response: {set: {a: "50%"}}}}`),
      'error spec.http[0].headers.response.set.a: "50%" is not a valid header value',
    ],
    [
      "with origins in two ways",
      http(`{${ROUTE}, corsPolicy: {allowOrigin: [a], allowOrigins: [{exact: b}]}}`),
      "error spec.http[0].corsPolicy.allowOrigin: allowOrigin and allowOrigins exclude each other",
    ],
    [
      "with an unknown CORS method",
      http(`{${ROUTE}, corsPolicy: {allowOrigins: [{exact: a}], allowMethods: [GETT]}}`),
      'error spec.http[0].corsPolicy.allowMethods[0]: "GETT" is not an HTTP method',
    ],
    [
      "with a delegate without name",
      http("{delegate: {namespace: b}}"),
      "error spec.http[0].delegate: a delegate needs the name of a virtual service",
    ],
    [
      "with a delegate beside a route",
      http(`{${ROUTE}, delegate: {name: b}}`),
      "error spec.http[0]: an http route needs exactly one of route, redirect, directResponse, delegate; route and delegate are there",
    ],
    [
      "with a rule after a catch-all",
      http(`{${ROUTE}}, {match: [{uri: {prefix: /a}}], ${ROUTE}}`),
      "warning spec.http[1]: this rule is never reached: http[0] before it matches everything",
    ],
    [
      "with tls without SNI",
      "{hosts: [a], tls: [{match: [], route: [{destination: {host: b}}]}]}",
      "error spec.tls[0].match: a tls route needs a match",
    ],
    [
      "with SNI outside its hosts",
      "{hosts: [a.example.com], tls: [{match: [{sniHosts: [b.example.com]}], route: [{destination: {host: b}}]}]}",
      'error spec.tls[0].match[0].sniHosts[0]: SNI host "b.example.com" is not covered by spec.hosts',
    ],
    [
      "with tcp without route",
      "{hosts: [a], tcp: [{match: [{port: 1}]}]}",
      'error spec.tcp[0]: field "route" is required',
    ],
    [
      "with a source subnet",
      "{hosts: [a], tcp: [{match: [{sourceSubnet: 10.0.0.0/8}], route: [{destination: {host: b}}]}]}",
      "error spec.tcp[0].match[0].sourceSubnet: sourceSubnet is not supported by any proxy",
    ],
    [
      "with a subnet that is none",
      "{hosts: [a], tcp: [{match: [{destinationSubnets: [10.0.0.0/33]}], route: [{destination: {host: b}}]}]}",
      'error spec.tcp[0].match[0].destinationSubnets[0]: "10.0.0.0/33" is not an address or CIDR',
    ],
  ])("%s", (_, spec, finding) => {
    const found = findingsOf(documentOf("VirtualService", spec));
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(finding);
  });

  it("names each fault of several", () => {
    const spec = http(`{${ROUTE}, timeout: soon, retries: {attempts: many}, mirror: {hots: c}}`);
    expect(findingsOf(documentOf("VirtualService", spec)).map((finding) => finding.split(":")[0])).toEqual([
      "error spec.http[0].timeout",
      "error spec.http[0].retries.attempts",
      "error spec.http[0].mirror",
      "error spec.http[0].mirror.hots",
    ]);
  });
});
