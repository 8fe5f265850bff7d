// SPDX-License-Identifier: Apache-2.0
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { expect, it } from 'vitest';
import { Connections } from './connections.js';

class FakeSocket extends EventEmitter {
  readonly remoteAddress: string;
  readonly remotePort: number;
  open = true;

  constructor(port: number, address = '192.0.2.1') {
    super();
    this.remotePort = port;
    this.remoteAddress = address;
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

it('takes the place from the network that has most of them, however long others have been there', () => {
  const connections = new Connections(4);
  const add = (port: number, address: string) => {
    const socket = new FakeSocket(port, address);
    connections.add(socket as unknown as Socket);
    return socket;
  };
  const admin = add(1, '192.0.2.1');
  const hostile = [1, 2, 3].map((end) => add(1, `2001:db8:0:7::${end}`));
  const other = add(1, '::ffff:192.0.2.2');
  expect(hostile.map((it) => it.open)).toEqual([false, true, true]);
  for (let end = 4; end < 100; end++) add(1, `2001:db8:0:7:ffff::${end}`);
  expect([admin.open, other.open]).toEqual([true, true]);
  expect(connections.evicted).toBe(97);
});
