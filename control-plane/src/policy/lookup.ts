// SPDX-License-Identifier: Apache-2.0
//
// Looks a compiled rule set up as the kernel does (agent-bpf/bpf/policy.h), for tests of the compiler.
import type { CompiledRuleSet } from './compile.js';
import type { Probe } from './evaluate.js';
import { addressBits, contains } from './network.js';

function bits(bytes: Uint8Array): bigint {
  return bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

/** undefined: the rule set has a hole. */
export function lookup(set: CompiledRuleSet, probe: Probe): { verdict: number; rule: number } | undefined {
  const address = addressBits(probe.address) ?? 0n;
  let peer: CompiledRuleSet['peers'][number] | undefined;
  for (const entry of set.peers) {
    const holds = contains({ address: bits(entry.network), prefix: entry.prefixLength }, { address, prefix: 128 });
    if (holds && (!peer || entry.prefixLength > peer.prefixLength)) peer = entry;
  }
  let best: { length: number; verdict: number; rule: number } | undefined;
  for (const entry of set.ports) {
    if (entry.class !== peer?.class) continue;
    const length = entry.portPrefixLength > 0 ? 40 + entry.portPrefixLength : entry.protocol ? 40 : 32;
    if (length >= 40 && entry.protocol !== probe.protocol) continue;
    const shift = 16 - entry.portPrefixLength;
    if (entry.portPrefixLength > 0 && entry.port >> shift !== probe.port >> shift) continue;
    if (!best || length > best.length) best = { length, verdict: entry.verdict, rule: entry.rule };
  }
  return best && { verdict: best.verdict, rule: best.rule };
}
