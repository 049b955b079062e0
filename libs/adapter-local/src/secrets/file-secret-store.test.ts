import { chmodSync, readdirSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "@lateen/kernel";
import { createRootCa } from "@lateen/pki";
import { describe, expect, it, onTestFinished } from "vitest";
import { tempDir } from "../testing/temp-dir.ts";
import { fileSecretStore } from "./file-secret-store.ts";

const ca = createRootCa({ trustDomain: "cluster.local" }, systemClock());
const other = createRootCa({ trustDomain: "other" }, systemClock());

describe("CA files", () => {
  it("are not there at first, then come back as they were, closed to others", async () => {
    const dir = join(tempDir(onTestFinished), "ca");
    const store = fileSecretStore(dir);
    expect(await store.loadCa()).toBeUndefined();
    await store.saveCa(ca);
    expect(await fileSecretStore(dir).loadCa()).toEqual(ca);
    expect(readdirSync(dir).sort()).toEqual(["ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"]);
    const modes = [dir, join(dir, "ca-key.pem")].map((path) => statSync(path).mode & 0o777);
    expect(modes).toEqual([0o700, 0o600]);
  });

  it("that were copied in with wide permissions are closed", async () => {
    const dir = tempDir(onTestFinished);
    await fileSecretStore(dir).saveCa(ca);
    chmodSync(join(dir, "ca-key.pem"), 0o644);
    await fileSecretStore(dir).loadCa();
    expect(statSync(join(dir, "ca-key.pem")).mode & 0o777).toBe(0o600);
  });

  it("change together: an interrupted change is finished by the next load", async () => {
    const dir = tempDir(onTestFinished);
    await fileSecretStore(dir).saveCa(ca);
    writeFileSync(join(dir, "ca-pending.json"), JSON.stringify(other));
    writeFileSync(join(dir, "ca-cert.pem"), other.certPem);
    expect(await fileSecretStore(dir).loadCa()).toEqual(other);
    expect(readdirSync(dir)).not.toContain("ca-pending.json");
  });

  it.each(["ca-cert.pem", "ca-key.pem", "root-cert.pem"])("are refused, not replaced, without %s", async (name) => {
    const dir = tempDir(onTestFinished);
    await fileSecretStore(dir).saveCa(ca);
    unlinkSync(join(dir, name));
    await expect(fileSecretStore(dir).loadCa()).rejects.toMatchObject({
      code: "LTN6106",
      message: expect.stringContaining(name),
    });
  });

  it("are refused when the key is another's or no key, without showing it", async () => {
    const dir = tempDir(onTestFinished);
    await fileSecretStore(dir).saveCa(ca);
    writeFileSync(join(dir, "ca-key.pem"), other.keyPem);
    await expect(fileSecretStore(dir).loadCa()).rejects.toMatchObject({ code: "LTN6106" });
    writeFileSync(join(dir, "ca-key.pem"), "topsecret");
    const error = await fileSecretStore(dir)
      .loadCa()
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "LTN6106" });
    expect(`${String(error)} ${JSON.stringify(error)}`).not.toContain("topsecret");
  });
});
