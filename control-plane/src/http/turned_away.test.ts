// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage, ServerResponse } from 'node:http';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { CellwallError } from '../errors.js';
import { TurnedAway } from './turned_away.js';

beforeEach(() => vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => vi.useRealTimers());

const request = (socket: object, authorization?: string) =>
  ({ socket, headers: { authorization } }) as unknown as IncomingMessage;

function answerOf(turnedAway: TurnedAway, asked: IncomingMessage) {
  const end = vi.fn();
  const writeHead = vi.fn(() => ({ end }));
  const answered = turnedAway.answer(asked, { writeHead } as unknown as ServerResponse);
  return answered ? [...(writeHead.mock.calls[0] ?? []), JSON.parse(end.mock.calls[0]?.[0])] : undefined;
}

it('answers by itself who has the same connection and token, until the time is over, and counts each', () => {
  const turnedAway = new TurnedAway();
  const [socket, count] = [{}, vi.fn()];
  const asked = request(socket, 'Bearer a');
  expect(answerOf(turnedAway, asked)).toBe(undefined);
  turnedAway.tell(asked, new CellwallError('too_many_requests', 'later'), 2, count);
  const error = { error: { code: 'too_many_requests', message: 'later' } };
  expect(answerOf(turnedAway, asked)).toEqual([429, expect.objectContaining({ 'retry-after': '2' }), error]);
  vi.advanceTimersByTime(1500);
  expect(answerOf(turnedAway, asked)).toEqual([429, expect.objectContaining({ 'retry-after': '1' }), error]);
  expect(count).toHaveBeenCalledTimes(2);
  expect(answerOf(turnedAway, request(socket, 'Bearer b'))).toBe(undefined);
  expect(answerOf(turnedAway, request(socket))).toBe(undefined);
  expect(answerOf(turnedAway, request({}, 'Bearer a'))).toBe(undefined);
  vi.advanceTimersByTime(500);
  expect(answerOf(turnedAway, asked)).toBe(undefined);
  expect(count).toHaveBeenCalledTimes(2);
});
