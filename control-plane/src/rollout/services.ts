// SPDX-License-Identifier: Apache-2.0
import { EventEmitter } from 'node:events';
import type { Service } from '../policy/index.js';

/** Services that peers of rules can name. Nothing fills it yet: rules about services that are not here match nothing. */
export class Services extends EventEmitter<{ changed: [] }> {
  #all: readonly Service[] = [];

  get all(): readonly Service[] {
    return this.#all;
  }

  replace(services: readonly Service[]): void {
    this.#all = services;
    this.emit('changed');
  }
}
