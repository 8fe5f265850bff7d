// SPDX-License-Identifier: Apache-2.0

/** Puts lines together from parts of a stream. Throws when one is longer than it may be. */
export class Lines {
  readonly #longest: number;
  readonly #take: (line: string) => void;
  #parts: Buffer[] = [];
  #length = 0;

  constructor(longest: number, take: (line: string) => void) {
    this.#longest = longest;
    this.#take = take;
  }

  add(part: Buffer): void {
    let rest = part;
    for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a)) {
      this.#keep(rest.subarray(0, end));
      const line = Buffer.concat(this.#parts).toString('utf8');
      this.#parts = [];
      this.#length = 0;
      rest = rest.subarray(end + 1);
      if (line.trim() !== '') this.#take(line);
    }
    if (rest.length > 0) this.#keep(rest);
  }

  #keep(part: Buffer): void {
    this.#length += part.length;
    if (this.#length > this.#longest) throw new Error(`a line is longer than ${this.#longest} bytes`);
    this.#parts.push(part);
  }
}
