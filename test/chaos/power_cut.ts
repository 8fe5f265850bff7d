// SPDX-License-Identifier: Apache-2.0
//
// What a power cut leaves of a folder, from the log of file_log.c. Data is on disk when its file was synced; of what was written
// since, each write is there, is not, or is torn at sectors. Names change in the order in which they were changed, and surely
// when the folder was synced.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Random } from '../../control-plane/src/testing/random.js';

const SECTOR = 512;
const HEAD = 15;

interface Step {
  readonly kind: string;
  readonly name: string;
  readonly number: number;
  readonly data: Buffer;
}

type Pending = { readonly at: number; readonly data: Buffer } | { readonly size: number };

export function readLog(file: string): Step[] {
  const log = readFileSync(file);
  const steps: Step[] = [];
  for (let at = 0; at < log.length; ) {
    const nameLength = log.readUInt16LE(at + 1);
    const dataLength = log.readUInt32LE(at + 11);
    const nameEnd = at + HEAD + nameLength;
    steps.push({
      kind: String.fromCharCode(log[at] ?? 0),
      name: log.toString('utf8', at + HEAD, nameEnd),
      number: Number(log.readBigUInt64LE(at + 3)),
      data: log.subarray(nameEnd, nameEnd + dataLength),
    });
    at = nameEnd + dataLength;
  }
  return steps;
}

function apply(content: Buffer, change: Pending): Buffer {
  if ('size' in change) {
    if (change.size <= content.length) return content.subarray(0, change.size);
    return Buffer.concat([content, Buffer.alloc(change.size - content.length)]);
  }
  const end = change.at + change.data.length;
  const grown = end <= content.length ? content : Buffer.concat([content, Buffer.alloc(end - content.length)]);
  change.data.copy(grown, change.at);
  return grown;
}

/** Some of its sectors. */
function torn(random: Random, { at, data }: { at: number; data: Buffer }): Pending[] {
  const parts: Pending[] = [];
  for (let from = 0; from < data.length; from += SECTOR)
    if (random.chance(0.5)) parts.push({ at: at + from, data: data.subarray(from, from + SECTOR) });
  return parts;
}

class File {
  #durable: Buffer = Buffer.alloc(0);
  #pending: Pending[] = [];

  change(change: Pending): void {
    this.#pending.push(change);
  }

  sync(): void {
    for (const change of this.#pending) this.#durable = apply(this.#durable, change);
    this.#pending = [];
  }

  get content(): Buffer {
    return this.#pending.reduce(apply, Buffer.from(this.#durable));
  }

  afterCut(random: Random): Buffer {
    let content: Buffer = Buffer.from(this.#durable);
    // Sometimes all is lost, sometimes nearly all was written back: both are likely, and find different mistakes.
    const kept = random.one([0, 0.5, 0.95]);
    for (const change of this.#pending) {
      if (!random.chance(kept)) continue;
      const parts = 'data' in change && random.chance(0.3) ? torn(random, change) : [change];
      for (const part of parts) content = apply(content, part);
    }
    return content;
  }
}

type NameChange = (names: Map<string, File>) => void;

/** The folder, followed step by step. Shared memory is no file: a boot begins without it. */
export class Disk {
  readonly #names = new Map<string, File>();
  readonly #honoursSync: boolean;
  #durableNames = new Map<string, File>();
  #pendingNames: NameChange[] = [];

  /** honoursSync false: a disk that lies, on which what is acknowledged must be found to be lost. */
  constructor(honoursSync = true) {
    this.#honoursSync = honoursSync;
  }

  step({ kind, name, number, data }: Step): void {
    if (name.endsWith('-shm')) return;
    const file = this.#names.get(name);
    if (kind === 'c') this.#create(name);
    else if (kind === 'w') file?.change({ at: number, data });
    else if (kind === 't') file?.change({ size: number });
    else if (kind === 's' && this.#honoursSync) file?.sync();
    else if (kind === 'd' && this.#honoursSync) this.#syncNames();
    else if (kind === 'u') this.#changeNames((names) => names.delete(name));
    else if (kind === 'r') this.#changeNames((names) => move(names, name, data.toString('utf8')));
  }

  #create(name: string): void {
    const file = new File();
    this.#changeNames((names) => names.set(name, file));
  }

  #changeNames(change: NameChange): void {
    change(this.#names);
    this.#pendingNames.push(change);
  }

  #syncNames(): void {
    this.#durableNames = new Map(this.#names);
    this.#pendingNames = [];
  }

  /** As the processes saw it. */
  text(name: string): string {
    return this.#names.get(name)?.content.toString('utf8') ?? '';
  }

  /** Makes the folder that is found after the cut. */
  cutInto(folder: string, random: Random): void {
    const names = new Map(this.#durableNames);
    for (const change of this.#pendingNames.slice(0, random.below(this.#pendingNames.length + 1))) change(names);
    mkdirSync(folder, { recursive: true });
    for (const [name, file] of names) writeFileSync(join(folder, name), file.afterCut(random));
  }
}

function move(names: Map<string, File>, from: string, to: string): void {
  const file = names.get(from);
  names.delete(from);
  if (file) names.set(to, file);
}
