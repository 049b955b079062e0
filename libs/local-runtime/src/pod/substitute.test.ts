// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the literal text users write
import { describe, expect, it } from "vitest";
import { expandReferences, type SubstitutionContext, substitute, substituteCommand } from "./substitute.ts";

const context: SubstitutionContext = {
  host: "127.0.0.1",
  ports: new Map([
    [9080, 21001],
    [9090, 21002],
  ]),
  service: (name, port) => (name === "mysql" && port === 3306 ? "127.64.1.1:3306" : undefined),
  image: "docker.io/istio/reviews:1.20",
  podName: "reviews-v1-x",
  podNamespace: "shop",
  podIp: "127.64.0.5",
  command: ["java", "-jar", "app.jar"],
  volumes: new Map([["data", "/state/pods/shop.reviews/volumes/data"]]),
};

describe("substitute", () => {
  it.each([
    ["plain", "plain"],
    ["${HOST}:${PORT}", "127.0.0.1:21001"],
    ["${PORT:9090}", "21002"],
    ["tcp://${service:mysql:3306}/db", "tcp://127.64.1.1:3306/db"],
    ["${POD_NAME}.${POD_NAMESPACE}@${POD_IP}", "reviews-v1-x.shop@127.64.0.5"],
    ["${IMAGE}", "docker.io/istio/reviews:1.20"],
    ["sh -c '${COMMAND}'", "sh -c 'java -jar app.jar'"],
    ["${volume:data}/db", "/state/pods/shop.reviews/volumes/data/db"],
    ["$${HOST} stays", "${HOST} stays"],
    ["$5 and $HOME stay", "$5 and $HOME stay"],
  ])("%s becomes %s", (text, expected) => {
    expect(substitute(text, context)).toEqual({ ok: true, value: expected });
  });

  it.each([
    ["${HOTS}", "did you mean ${HOST}?"],
    ["${PORT:1}", "declares no such port"],
    ["${service:mysql}", "write ${service:NAME:PORT}"],
    ["${service:redis:6379}", "no such service port"],
    ["${volume:logs}", "no such volume"],
    ["${HOST", "without }"],
  ])("%s is refused: %s", (text, reason) => {
    const result = substitute(text, context);
    expect(result.ok ? "" : result.error).toContain(reason);
  });

  it("needs a declared port for ${PORT}", () => {
    expect(substitute("${PORT}", { ...context, ports: new Map() })).toMatchObject({ ok: false });
  });
});

describe("substituteCommand", () => {
  it("spreads ${COMMAND} when it is a word of its own", () => {
    expect(substituteCommand(["nice", "${COMMAND}", "--port=${PORT}"], context)).toEqual({
      ok: true,
      value: ["nice", "java", "-jar", "app.jar", "--port=21001"],
    });
  });

  it("refuses a command without words", () => {
    expect(substituteCommand(["${COMMAND}"], { ...context, command: [] })).toMatchObject({ ok: false });
  });
});

it("expands Kubernetes' own references: known names only, $$ escapes", () => {
  const values = new Map([["NAME", "reviews"]]);
  expect(expandReferences("$(NAME) $(OTHER) $$(NAME)", values)).toBe("reviews $(OTHER) $(NAME)");
});
