import { keyOf, type Resource } from "@lateen/mesh-model";
import { describe, expect, it } from "vitest";
import { pod, service } from "../testing/objects.ts";
import { World } from "./world.ts";

const web = service("web", "shop", "10.96.0.1");
const cart = service("cart", "shop", "10.96.0.2");
const config = (
  snapshot: boolean,
  revision: number,
  upserted: readonly Resource[],
  removed: readonly string[] = [],
) => ({
  snapshot,
  revision,
  removed,
  upserted: upserted.map((object) => ({
    key: keyOf(object),
    revision,
    value: { object, revision, ownerFile: undefined, origin: { file: "f", line: 1, column: 1 } },
  })),
});
const keys = (objects: readonly Resource[]) => objects.map((object) => keyOf(object)).sort();

describe("World", () => {
  it("is complete once both first snapshots are in", () => {
    const world = new World();
    expect(world.missing).toEqual(["configuration", "service registry"]);
    world.takeRegistry({ snapshot: true, upserted: [], removed: [] });
    expect(world).toMatchObject({ complete: false, missing: ["configuration"] });
    world.takeConfig(config(true, 0, []));
    expect(world).toMatchObject({ complete: true, configRevision: 0 });
  });

  it("merges deltas: each key once, with its last value", () => {
    const world = new World();
    world.takeConfig(config(true, 1, [web, cart]));
    world.takeConfig(config(false, 2, [], ["Service/shop/cart"]));
    const changed = service("web", "shop", "10.96.0.9");
    world.takeConfig(config(false, 3, [changed]));
    expect(world.waiting).toBe(2);
    expect(world.take()).toEqual({ upserted: [changed], removed: ["Service/shop/cart"] });
    expect(world.take()).toEqual({ upserted: [], removed: [] });
  });

  it("takes what a snapshot does not name for gone, and what it repeats for unchanged", () => {
    const world = new World();
    world.takeConfig(config(true, 1, [web, cart]));
    world.take();
    world.takeConfig(config(true, 2, [web]));
    expect(world.take()).toEqual({ upserted: [], removed: ["Service/shop/cart"] });
  });

  it("does not let a snapshot of one source take away what the other names", () => {
    const world = new World();
    world.takeConfig(config(true, 1, [web]));
    world.takeRegistry({ snapshot: true, upserted: [pod("web", "shop", "127.64.0.2")], removed: [] });
    world.take();
    world.takeConfig(config(true, 2, [web]));
    expect(world.take()).toEqual({ upserted: [], removed: [] });
    expect(keys([...world.objects()])).toEqual(["Pod/shop/web-1", "Service/shop/web"]);
  });

  it("prefers what runs over what was configured, and falls back to it", () => {
    const world = new World();
    const configured = pod("web", "shop", "127.64.0.2");
    const running = pod("web", "shop", "127.64.0.3");
    world.takeConfig(config(true, 1, [configured]));
    world.takeRegistry({ snapshot: true, upserted: [running], removed: [] });
    expect(world.take().upserted).toEqual([running]);
    world.takeRegistry({ snapshot: false, upserted: [], removed: ["Pod/shop/web-1"] });
    expect(world.take()).toEqual({ upserted: [configured], removed: [] });
  });
});
