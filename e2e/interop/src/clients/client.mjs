// A gRPC client that finds its servers by xDS. Each line on stdin is `TARGET COUNT SECONDS`: so many calls, each with so much time, then one line of JSON with what answered.
import { createInterface } from "node:readline";
import { Client, credentials } from "@grpc/grpc-js";
import { register, XdsChannelCredentials } from "@grpc/grpc-js-xds";

register();
const clients = new Map();
const bytes = (value) => value;

function call(target, seconds) {
  let client = clients.get(target);
  if (client === undefined) {
    client = new Client(target, new XdsChannelCredentials(credentials.createInsecure()));
    clients.set(target, client);
  }
  const deadline = Date.now() + seconds * 1000;
  return new Promise((resolve) => {
    client.makeUnaryRequest("/echo.Echo/Say", bytes, bytes, Buffer.from("hello"), { deadline }, (error, answer) =>
      resolve(error ? `error: ${error.code} ${error.details}` : answer.toString()),
    );
  });
}

for await (const line of createInterface({ input: process.stdin })) {
  const [target, count, seconds] = line.split(" ");
  const tally = {};
  for (let i = 0; i < Number(count); i++) {
    const answer = await call(target, Number(seconds));
    tally[answer] = (tally[answer] ?? 0) + 1;
  }
  process.stdout.write(`${JSON.stringify(tally)}\n`);
}
process.exit(0);
