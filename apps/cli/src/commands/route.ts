import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { command, fileOption, formatOf, headerOption, meshOption, outputOption } from "../command.ts";
import type { WorldOptions } from "../offline/mesh-objects.ts";

/** Options of `lateen route test` as given. */
export interface RouteTestOptions extends WorldOptions {
  readonly from: string;
  readonly request: string;
  readonly header?: readonly (readonly [name: string, value: string])[];
  readonly output?: string;
}

/** `lateen route`: questions about routing. */
export function routeCommand(cli: Cli): Command {
  return command("route", "ask where requests go", [
    "lateen route test -f mesh/ --from productpage-v1 --request 'GET http://reviews:9080/x'",
  ]).addCommand(routeTestCommand(cli));
}

function routeTestCommand(cli: Cli): Command {
  return command("test", "tell which rule a request meets, where it goes, and why; nothing is sent", [
    "lateen route test -f mesh/ --from productpage-v1 --request 'GET http://reviews:9080/x' -H 'end-user: tester'",
    "lateen route test -f mesh/ --from istio-ingressgateway --request 'https://shop.example.com/cart' -o json",
    "lateen route test --from reviews-v1 --request 'tcp://mysql:3306'      in the running mesh",
  ])
    .addOption(fileOption("file or directory of configuration; without it the running mesh is asked"))
    .option("-R, --recursive", "also take the directories below")
    .requiredOption("--from <workload>", "who calls; a gateway stands for a client outside that calls it")
    .requiredOption("--request <request>", "METHOD URL, URL (GET), or tcp://HOST:PORT")
    .addOption(headerOption())
    .option("--mesh-config <file>", "mesh configuration (MeshConfig YAML, or the ConfigMap `istio`)")
    .addOption(meshOption())
    .addOption(outputOption())
    .action(async (options: RouteTestOptions) => {
      const { testRoute } = await import("../offline/route-test.ts");
      await testRoute(cli, options, formatOf(options.output));
    });
}
