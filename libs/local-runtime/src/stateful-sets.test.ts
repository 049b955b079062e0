import { decodeText, type StatefulSet } from "@lateen/mesh-model";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type MemberPod,
  memberBlueprint,
  ordinalOf,
  planStatefulSet,
  type StatefulSetGoal,
  type StatefulSetStep,
  statefulSetGoal,
} from "./stateful-sets.ts";

const goal: StatefulSetGoal = {
  first: 0,
  replicas: 3,
  templateHash: "new",
  policy: "OrderedReady",
  update: "RollingUpdate",
  partition: 0,
};
const pod = (ordinal: number, fields: Partial<MemberPod> = {}): MemberPod => ({
  name: `db-${ordinal}`,
  ordinal,
  templateHash: "new",
  ready: true,
  terminating: false,
  ...fields,
});
const old = (ordinal: number, fields: Partial<MemberPod> = {}) => pod(ordinal, { templateHash: "old", ...fields });
const nothing: StatefulSetStep = { create: [], remove: [] };

describe("planStatefulSet", () => {
  it.each<[string, Partial<StatefulSetGoal>, MemberPod[], Partial<StatefulSetStep>]>([
    ["begins with the first member", {}, [], { create: [0] }],
    ["waits until it is ready", {}, [pod(0, { ready: false })], {}],
    ["goes on with the next", {}, [pod(0)], { create: [1] }],
    ["begins where ordinals say", { first: 5 }, [], { create: [5] }],
    ["fills the lowest gap", {}, [pod(0), pod(2)], { create: [1] }],
    ["waits until a member that goes is gone", {}, [pod(0), pod(1), pod(2, { terminating: true })], {}],
    ["makes all at once in parallel", { policy: "Parallel" }, [pod(1, { ready: false })], { create: [0, 2] }],
    ["rests at the goal", {}, [pod(0), pod(1), pod(2)], {}],
    ["takes the highest away first", { replicas: 1 }, [pod(0), pod(1), pod(2)], { remove: ["db-2"] }],
    ["takes one away at a time", { replicas: 1 }, [pod(0), pod(1), pod(2, { terminating: true })], {}],
    [
      "takes all away at once in parallel",
      { replicas: 0, policy: "Parallel" },
      [pod(0), pod(1)],
      { remove: ["db-1", "db-0"] },
    ],
    ["updates from the highest", {}, [old(0), old(1), old(2)], { remove: ["db-2"] }],
    ["goes on when all are ready", {}, [old(0), old(1), pod(2, { ready: false })], {}],
    ["then takes the next", {}, [old(0), old(1), pod(2)], { remove: ["db-1"] }],
    ["mends a member that is not ready", {}, [old(0), old(1, { ready: false }), pod(2)], { remove: ["db-1"] }],
    ["leaves members below the partition", { partition: 2 }, [old(0), old(1), pod(2)], {}],
    ["leaves updates to the user", { update: "OnDelete" }, [old(0), old(1), old(2)], {}],
  ])("%s", (_, fields, pods, expected) => {
    expect(planStatefulSet({ ...goal, ...fields }, pods)).toEqual({ ...nothing, ...expected });
  });

  it("always ends at the goal, and never has two of one name", () => {
    const goals = fc
      .record({
        first: fc.nat(2),
        replicas: fc.nat(5),
        policy: fc.constantFrom("OrderedReady" as const, "Parallel" as const),
      })
      .map((fields): StatefulSetGoal => ({ ...goal, ...fields }));
    fc.assert(
      fc.property(goals, fc.uniqueArray(fc.nat(7)), (wanted, before) => {
        let pods: MemberPod[] = before.map((ordinal) => old(ordinal));
        for (let round = 0; round < 100; round++) {
          const { create, remove } = planStatefulSet(wanted, pods);
          for (const ordinal of create) expect(pods.some((one) => one.ordinal === ordinal)).toBe(false);
          const gone = pods.filter(({ terminating }) => terminating);
          const late = pods.find(({ ready, terminating }) => !ready && !terminating);
          if (create.length + remove.length + gone.length === 0 && late === undefined) break;
          pods = pods
            .filter((one) => !gone.includes(one))
            .map((one) => (remove.includes(one.name) ? { ...one, terminating: true } : one))
            .map((one) => (one === late ? { ...one, ready: true } : one));
          pods.push(...create.map((ordinal) => pod(ordinal, { ready: false })));
        }
        const ordinals = pods.map(({ ordinal }) => ordinal).sort((a, b) => a - b);
        expect(ordinals).toEqual(Array.from({ length: wanted.replicas }, (_, index) => wanted.first + index));
        expect(pods.every(({ templateHash, ready }) => templateHash === "new" && ready)).toBe(true);
      }),
    );
  });
});

describe("members", () => {
  const text = `
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: db, namespace: shop }
spec:
  serviceName: stores
  replicas: 2
  selector: { matchLabels: { app: db } }
  template:
    metadata: { labels: { app: db } }
    spec:
      serviceAccountName: keeper
      containers: [{ name: db, image: "db:1", ports: [{ containerPort: 5432 }] }]
      volumes: [{ name: scratch, emptyDir: {} }, { name: data, emptyDir: {} }]
  volumeClaimTemplates: [{ metadata: { name: data }, spec: { resources: { requests: { storage: 1Gi } } } }]
`;
  const [document] = decodeText({ file: "db.yaml", text });
  const set = document?.ok === true ? (document.object as StatefulSet) : undefined;

  it("have Kubernetes' defaults", () => {
    expect(statefulSetGoal(set!)).toMatchObject({ first: 0, replicas: 2, policy: "OrderedReady", partition: 0 });
  });

  it("have a name, labels, a host name and claims of their own", () => {
    const member = memberBlueprint(set!, 1, []);
    expect(member).toMatchObject({
      name: "db-1",
      workload: "db",
      controller: "StatefulSet",
      serviceAccount: "keeper",
      labels: { app: "db", "statefulset.kubernetes.io/pod-name": "db-1", "apps.kubernetes.io/pod-index": "1" },
      spec: { hostname: "db-1", subdomain: "stores" },
    });
    expect(member.spec.volumes).toEqual([
      { name: "scratch", emptyDir: {} },
      { name: "data", persistentVolumeClaim: { claimName: "data-db-1" } },
    ]);
  });

  it.each([
    ["db-0", 0],
    ["db-12", 12],
    ["db-x", undefined],
    ["dbs-0", undefined],
    ["db", undefined],
  ])("%s is member %s", (name, expected) => {
    expect(ordinalOf(set!, name)).toBe(expected);
  });
});
