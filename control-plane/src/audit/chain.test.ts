// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type AuditEntry, ChainCheck, canonicalJson, EMPTY, hashOf, headText, type Json, readHead } from './chain.js';

function chain(count: number): AuditEntry[] {
  const entries: AuditEntry[] = [];
  for (let number = 1; number <= count; number++) {
    const plain = { number, timeUs: number * 1e6, actor: 'a', action: 'b', subject: 's', details: { n: number } };
    entries.push({ ...plain, hash: hashOf(entries.at(-1)?.hash ?? EMPTY.hash, plain) });
  }
  return entries;
}

function walk(entries: readonly AuditEntry[], wanted?: ReturnType<typeof readHead>) {
  const check = new ChainCheck(wanted);
  for (const entry of entries) if (!check.next(entry)) break;
  return { head: check.head, broken: check.end() };
}

describe('the chain', () => {
  const whole = chain(10);
  const head = { count: 10, hash: whole[9]?.hash ?? '' };

  it('holds as it was written, and from an empty log on', () => {
    expect(walk(whole)).toEqual({ head, broken: null });
    expect(walk([])).toEqual({ head: EMPTY, broken: null });
    expect(walk(whole, head).broken).toBeNull();
    expect(walk(whole, { count: 4, hash: whole[3]?.hash ?? '' }).broken).toBeNull();
  });

  it.each(['timeUs', 'actor', 'action', 'subject', 'details', 'hash'] as const)(
    'names the entry whose %s was changed',
    (field) => {
      const value = field === 'timeUs' ? 1 : field === 'details' ? { n: 9 } : field === 'hash' ? '0'.repeat(64) : 'x';
      const changed = whole.map((entry) => (entry.number === 5 ? { ...entry, [field]: value } : entry));
      expect(walk(changed)).toMatchObject({ head: { count: 4 }, broken: { number: 5 } });
    },
  );

  it('names the entry behind one that was taken out, put in or moved', () => {
    expect(walk(whole.filter(({ number }) => number !== 5)).broken).toMatchObject({ number: 6 });
    const [first, second, ...rest] = whole as [AuditEntry, AuditEntry, ...AuditEntry[]];
    expect(walk([first, first, second, ...rest]).broken).toMatchObject({ number: 1 });
    expect(walk([second, first, ...rest]).broken).toMatchObject({ number: 2 });
    expect(walk(whole.slice(1)).broken).toMatchObject({ number: 2 });
  });

  it('does not show that its end was cut off, or that all of it was written anew, but to who has noted a head', () => {
    const cut = whole.slice(0, 7);
    expect(walk(cut).broken).toBeNull();
    expect(walk(cut, head).broken).toMatchObject({ number: 8, what: expect.stringContaining('cut off') });
    const anew = chain(12).map(({ hash: _, ...entry }) => ({ ...entry, actor: 'eve' }));
    const rewritten: AuditEntry[] = [];
    for (const entry of anew) rewritten.push({ ...entry, hash: hashOf(rewritten.at(-1)?.hash ?? EMPTY.hash, entry) });
    expect(walk(rewritten).broken).toBeNull();
    expect(walk(rewritten, head).broken).toMatchObject({ number: 10, what: expect.stringContaining('anew') });
  });

  it('has one text for a value, whatever the order of its keys and the way it went', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonicalJson(value as Json);
        expect(canonicalJson(JSON.parse(text))).toBe(text);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
    expect(canonicalJson({ b: 1, a: { d: [], c: undefined } })).toBe('{"a":{"d":[]},"b":1}');
  });

  it('reads heads as it writes them', () => {
    expect(readHead(headText(head))).toEqual(head);
    for (const wrong of ['', '1', '1:ab', `x:${head.hash}`, `${headText(head)}0`])
      expect(readHead(wrong)).toBeUndefined();
  });
});
