// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';

const CLOCK_TICKS = 100;

export interface Usage {
  readonly residentMiB: number;
  readonly anonymousMiB: number;
  /** Resident at most, ever. */
  readonly mostMiB: number;
  readonly cpuSeconds: number;
}

export function usageOf(pid: number): Usage {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return {
    residentMiB: kib('VmRSS') / 1024,
    anonymousMiB: kib('RssAnon') / 1024,
    mostMiB: kib('VmHWM') / 1024,
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS,
  };
}
