import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const source = fileURLToPath(new URL("./index.ts", import.meta.url));

function run(body: string, onOutput?: (child: ReturnType<typeof spawn>, text: string) => void) {
  const script = `import { runMain } from ${JSON.stringify(source)}; await runMain("demo", ${body});`;
  const child = spawn(process.execPath, ["--conditions=@lateen/source", "--input-type=module", "-e", script], {
    cwd: fileURLToPath(new URL("..", import.meta.url)),
  });
  let output = "";
  child.stdout.on("data", (part: Buffer) => {
    output += part.toString();
    onOutput?.(child, output);
  });
  child.stderr.on("data", (part: Buffer) => {
    output += part.toString();
  });
  return new Promise<{ code: number | null; output: string }>((resolve) => {
    child.on("close", (code) => resolve({ code, output }));
  });
}

it("drains on SIGTERM and exits 0", async () => {
  let sent = false;
  const result = await run(
    `async ({ scope }) => { scope.defer(() => console.log("drained")); console.log("up"); }`,
    (child, text) => {
      if (!sent && text.includes("up")) {
        sent = true;
        child.kill("SIGTERM");
      }
    },
  );
  expect(result.output).toContain("drained");
  expect(result.code).toBe(0);
});

it("exits 70 and logs when main fails", async () => {
  const result = await run(`async () => { throw new Error("no luck"); }`);
  expect(result.code).toBe(70);
  expect(result.output).toContain("no luck");
});

it("exits with the number main returns", async () => {
  expect((await run("async () => 3")).code).toBe(3);
});

it("exits 1 at once on a second signal", async () => {
  let up = false;
  let draining = false;
  const result = await run(
    `async ({ scope }) => { scope.defer(() => { console.log("draining"); return new Promise(() => {}); }); console.log("up"); }`,
    (child, text) => {
      if (!up && text.includes("up")) {
        up = true;
        child.kill("SIGTERM");
      } else if (!draining && text.includes("draining")) {
        draining = true;
        child.kill("SIGTERM");
      }
    },
  );
  expect(result.code).toBe(1);
});

it("ends when the supervisor that holds its pipe is gone", async () => {
  const script = `import { runMain } from ${JSON.stringify(source)};
    await runMain("demo", async ({ scope }) => { scope.defer(() => console.log("drained")); console.log("up"); });`;
  const child = spawn(process.execPath, ["--conditions=@lateen/source", "--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "ignore", "pipe"],
    env: { ...process.env, LATEEN_PARENT_FD: "3" },
  });
  let output = "";
  child.stdout?.on("data", (part: Buffer) => {
    output += part.toString();
    if (output.includes("up")) child.stdio[3]?.destroy();
  });
  const code = await new Promise((resolve) => child.on("close", resolve));
  expect({ code, output }).toEqual({ code: 0, output: "up\ndrained\n" });
});
