// SPDX-License-Identifier: MIT
// GET /hostler/v1/estimate: what a model would take, and who would have to go for it.
import { getJson } from "../api/client";
import type { ByDevice } from "../api/types";
import { bytes } from "../parts/format";

export interface Footprint {
  source: string;
  memory: ByDevice;
  mapped: number;
  growth: number;
  undecided?: string;
}

export interface Estimate extends Footprint {
  model: string;
  fits: boolean;
  never: boolean;
  loaded: boolean;
  evicts: string[];
  budget: ByDevice | null;
  used: ByDevice;
  available: ByDevice | null;
  message: string;
  note: string | null;
}

export type Option = [name: string, value: string];

export function estimatePath(model: string, options: Option[] = []): string {
  const query = new URLSearchParams([["model", model], ...options.filter(([name, value]) => name && value)]);
  return `hostler/v1/estimate?${query}`;
}

export function getEstimate(model: string, options: Option[] = [], signal?: AbortSignal): Promise<Estimate> {
  return getJson<Estimate>(estimatePath(model, options), signal);
}

/** `a, b and c`, at most four by name. */
export function list(names: string[]): string {
  if (names.length > 4) return `${names.slice(0, 3).join(", ")} and ${names.length - 3} others`;
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

/** In a few words: "fits now", "fits after a and b go". */
export function verdict(e: Estimate): string {
  if (e.loaded) return "is in memory";
  if (e.never) return "can never fit here";
  if (!e.fits) return "does not fit now";
  return e.evicts.length ? `fits after ${list(e.evicts)} ${e.evicts.length > 1 ? "go" : "goes"}` : "fits now";
}

/** `gpu0 4.20 GiB, host 310 MiB`, the largest first; devices without any are left out. */
export function byDevice(memory: ByDevice | undefined): string {
  const parts = Object.entries(memory ?? {}).filter(([, n]) => n > 0);
  parts.sort((a, b) => b[1] - a[1]);
  return parts.length > 1 || (parts[0] && parts[0][0] !== "host")
    ? parts.map(([device, n]) => `${device} ${bytes(n)}`).join(", ")
    : bytes(parts[0]?.[1] ?? 0);
}
