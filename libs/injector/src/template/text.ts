import { calledFunctions, evaluate, type Frame, type Pipeline, textFrom } from "./text-expression.ts";
import { functionNames, functions, type TemplateFunction, truth } from "./text-functions.ts";
import { type Node, parseNodes } from "./text-parser.ts";

/** A template that an operator wrote: a subset of Go's text/template, parsed. */
export interface TextTemplate {
  /** @throws Error that says what could not be evaluated. */
  render(data: unknown): string;
}

/** What one rendering may produce at most, and how often loops may run. */
const MAX_LENGTH = 1024 * 1024;
const MAX_STEPS = 100_000;

/**
 * Parses a template: `{{ … }}` with fields (`.Values.global.hub`), variables, `if`, `range`, `with`, pipelines, comments, trim markers, and
 * the functions that Istio's templates use. `define`, `template` and `block` are not there.
 * @throws Error that names what cannot be parsed, with its line.
 */
export function parseTextTemplate(text: string): TextTemplate {
  const nodes = parseNodes(text);
  refuseUnknown(nodes);
  return {
    render(data) {
      const run = new Rendering(data);
      run.all(nodes, { dot: data, root: data, variables: new Map() });
      return run.output;
    },
  };
}

/** A function that does not exist refuses the template when it is read, not the pods that would use it. */
function refuseUnknown(nodes: readonly Node[]): void {
  for (const node of nodes) {
    if (node.kind === "text") continue;
    for (const name of calledFunctions(node.pipeline.commands)) {
      if (!functionNames.has(name)) throw new Error(`line ${node.line}: there is no function "${name}"`);
    }
    if (node.kind === "action") continue;
    refuseUnknown(node.body);
    refuseUnknown(node.otherwise);
  }
}

class Rendering {
  output = "";
  #steps = 0;
  readonly #functions: ReadonlyMap<string, TemplateFunction>;

  constructor(data: unknown) {
    this.#functions = functions(data);
  }

  all(nodes: readonly Node[], frame: Frame): void {
    for (const node of nodes) this.#node(node, frame);
  }

  #node(node: Node, frame: Frame): void {
    if (++this.#steps > MAX_STEPS) throw new Error(`more than ${MAX_STEPS} steps`);
    switch (node.kind) {
      case "text":
        this.#write(node.text);
        break;
      case "action": {
        const value = this.#value(node.pipeline, frame, node.line);
        if (node.pipeline.variable === undefined) this.#write(textFrom(value));
        break;
      }
      case "if": {
        const inner = scoped(frame);
        this.all(truth(this.#value(node.pipeline, inner, node.line)) ? node.body : node.otherwise, inner);
        break;
      }
      case "with": {
        const inner = scoped(frame);
        const value = this.#value(node.pipeline, inner, node.line);
        if (truth(value)) this.all(node.body, { ...inner, dot: value });
        else this.all(node.otherwise, inner);
        break;
      }
      case "range":
        this.#range(node, frame);
        break;
    }
  }

  #range(node: Extract<Node, { kind: "range" }>, frame: Frame): void {
    const value = evaluate(node.pipeline.commands, frame, this.#functions, node.line);
    const entries = entriesOf(value);
    if (entries.length === 0) this.all(node.otherwise, scoped(frame));
    for (const [key, item] of entries) {
      const inner = scoped(frame);
      if (node.keyVariable !== undefined) inner.variables.set(node.keyVariable, { value: key });
      if (node.itemVariable !== undefined) inner.variables.set(node.itemVariable, { value: item });
      this.all(node.body, { ...inner, dot: item });
    }
  }

  #value(pipeline: Pipeline, frame: Frame, line: number): unknown {
    const value = evaluate(pipeline.commands, frame, this.#functions, line);
    if (pipeline.variable === undefined) return value;
    if (pipeline.declares) frame.variables.set(pipeline.variable, { value });
    else {
      const cell = frame.variables.get(pipeline.variable);
      if (cell === undefined) throw new Error(`line ${line}: variable ${pipeline.variable} is not declared`);
      cell.value = value;
    }
    return value;
  }

  #write(text: string): void {
    this.output += text;
    if (this.output.length > MAX_LENGTH) throw new Error(`more than ${MAX_LENGTH} characters`);
  }
}

/** Variables of inner blocks end with them; outer ones can be assigned from inside. */
function scoped(frame: Frame): Frame {
  return { ...frame, variables: new Map(frame.variables) };
}

/** Maps are walked in the order of their names, as Go does. */
function entriesOf(value: unknown): readonly (readonly [unknown, unknown])[] {
  if (Array.isArray(value)) return value.map((item: unknown, index) => [index, item]);
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
}
