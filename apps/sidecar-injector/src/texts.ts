import { readFile } from "node:fs/promises";
import type { InjectionTexts } from "@lateen/injector";
import type { SidecarInjectorConfig } from "./config.ts";

/** Reads the files of the configuration; what is not named is empty. @throws when one cannot be read. */
export async function readTexts(
  config: Pick<SidecarInjectorConfig, "injectionConfig" | "values" | "meshConfig">,
): Promise<InjectionTexts> {
  const read = (path: string | undefined) => (path === undefined ? undefined : readFile(path, "utf8"));
  const [injection, values, mesh] = await Promise.all([
    read(config.injectionConfig),
    read(config.values),
    read(config.meshConfig),
  ]);
  return { config: injection, values, mesh };
}

/** The minor version in `1.34`, `v1.34.2` or `v1.34.2+k3s1`. */
export function minorOf(version: string | undefined): number | undefined {
  const minor = /^v?1\.(\d{1,3})(\D|$)/.exec(version ?? "")?.[1];
  return minor === undefined ? undefined : Number(minor);
}
