// SPDX-License-Identifier: Apache-2.0
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { expect, it } from 'vitest';
import { Connections } from './connections.js';

class FakeSocket extends EventEmitter {
  readonly remoteAddress = '192.0.2.1';
  readonly remotePort: number;
  open = true;

  constructor(port: number) {
    super();
    this.remotePort = port;
  }

  destroy(): void {
    this.open = false;
    this.emit('close');
  }
}

it('gives the place of the oldest connection without a token to a new one, and never that of one with a token', () => {
  const connections = new Connections(3);
  const sockets = Array.from({ length: 6 }, (_, port) => new FakeSocket(port));
  const add = (index: number) => connections.add(sockets[index] as unknown as Socket);
  const open = () => sockets.map((it) => it.open);
  for (const index of [0, 1, 2]) add(index);
  connections.known(sockets[0] as unknown as Socket);
  add(3);
  expect(open()).toEqual([true, false, true, true, true, true]);
  connections.known(sockets[2] as unknown as Socket);
  connections.known(sockets[3] as unknown as Socket);
  add(4);
  expect(open()).toEqual([true, false, true, true, false, true]);
  sockets[0]?.destroy();
  add(5);
  expect(sockets[5]?.open).toBe(true);
  expect(connections.evicted).toBe(1);
});
