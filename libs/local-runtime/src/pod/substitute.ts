import { err, nearestName, ok, type Result } from "@lateen/kernel";

/** What `${…}` in a LocalRuntime document can stand for. */
export interface SubstitutionContext {
  /** Address the application binds. */
  readonly host: string;
  /** Private port by declared container port, in the order of declaration. */
  readonly ports: ReadonlyMap<number, number>;
  /** `host:port` where a service can be reached from this pod without a proxy; undefined when there is no such service port. */
  readonly service: (name: string, port: number) => string | undefined;
  readonly image: string;
  readonly podName: string;
  readonly podNamespace: string;
  readonly podIp: string;
  /** The container's own command and args. */
  readonly command: readonly string[];
  /** Directory of each volume by name. */
  readonly volumes: ReadonlyMap<string, string>;
}

const NAMES = [
  "HOST",
  "PORT",
  "IMAGE",
  "POD_NAME",
  "POD_NAMESPACE",
  "POD_IP",
  "COMMAND",
  "service:NAME:PORT",
  "volume:NAME",
];

/**
 * Replaces every `${…}`. `$${` stands for a plain `${`. An unknown name is an error, not an empty string.
 * `${COMMAND}` inside a longer text becomes the container's command with its words joined by spaces.
 */
export function substitute(text: string, context: SubstitutionContext): Result<string, string> {
  let result = "";
  let at = 0;
  for (;;) {
    const start = text.indexOf("${", at);
    if (start < 0) return ok(result + text.slice(at));
    if (start > at && text[start - 1] === "$") {
      result += `${text.slice(at, start - 1)}\${`;
      at = start + 2;
      continue;
    }
    const end = text.indexOf("}", start);
    if (end < 0) return err(`"${text}" has a \${ without }`);
    const value = resolveName(text.slice(start + 2, end), context);
    if (!value.ok) return value;
    result += text.slice(at, start) + value.value;
    at = end + 1;
  }
}

/** Replaces in every word of a command. The word `${COMMAND}` alone becomes the container's words, one by one. */
export function substituteCommand(words: readonly string[], context: SubstitutionContext): Result<string[], string> {
  const result: string[] = [];
  for (const word of words) {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the literal text users write
    if (word === "${COMMAND}") {
      result.push(...context.command);
      continue;
    }
    const replaced = substitute(word, context);
    if (!replaced.ok) return replaced;
    result.push(replaced.value);
  }
  return result.length > 0 ? ok(result) : err("the command is empty");
}

function resolveName(name: string, context: SubstitutionContext): Result<string, string> {
  const [head = "", ...rest] = name.split(":");
  switch (head) {
    case "HOST":
      return ok(context.host);
    case "PORT":
      return portOf(rest, context);
    case "IMAGE":
      return ok(context.image);
    case "POD_NAME":
      return ok(context.podName);
    case "POD_NAMESPACE":
      return ok(context.podNamespace);
    case "POD_IP":
      return ok(context.podIp);
    case "COMMAND":
      return ok(context.command.join(" "));
    case "service":
      return serviceOf(rest, context);
    case "volume": {
      const directory = context.volumes.get(rest.join(":"));
      return directory === undefined ? err(`\${${name}}: the pod has no such volume`) : ok(directory);
    }
    default: {
      const near = nearestName(name, NAMES);
      return err(
        `\${${name}} is unknown${near === undefined ? "" : `, did you mean \${${near}}?`} (write $\${ for a plain \${)`,
      );
    }
  }
}

function portOf(rest: readonly string[], context: SubstitutionContext): Result<string, string> {
  if (rest.length === 0) {
    const [first] = context.ports.values();
    if (first !== undefined) return ok(String(first));
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the literal text users write
    return err("${PORT}: the container declares no port");
  }
  const declared = Number(rest[0]);
  const found = context.ports.get(declared);
  if (rest.length === 1 && found !== undefined) return ok(String(found));
  return err(`\${PORT:${rest.join(":")}}: the container declares no such port`);
}

function serviceOf(rest: readonly string[], context: SubstitutionContext): Result<string, string> {
  const [service, port, extra] = rest;
  if (!service || port === undefined || extra !== undefined || !/^\d+$/.test(port)) {
    return err(`\${service:${rest.join(":")}}: write \${service:NAME:PORT}`);
  }
  const address = context.service(service, Number(port));
  return address === undefined ? err(`\${service:${service}:${port}}: there is no such service port`) : ok(address);
}

/**
 * Kubernetes' own `$(NAME)` in container env values, command and args: known names are replaced, unknown ones stay,
 * `$$(NAME)` stands for a plain `$(NAME)`.
 */
export function expandReferences(text: string, values: ReadonlyMap<string, string>): string {
  return text.replace(/\$(\$?)\(([^()]*)\)/g, (whole, escaped: string, name: string) =>
    escaped ? `$(${name})` : (values.get(name) ?? whole),
  );
}
