// SPDX-License-Identifier: Apache-2.0
//
// Addresses as SQLite stores them: two halves of signed 64 bits.

type Half = number | bigint;

const unsigned = (half: Half): bigint => BigInt.asUintN(64, BigInt(half));

/** 128 bits, IPv4 as ::ffff:a.b.c.d. */
export const toBits = (high: Half, low: Half): bigint => (unsigned(high) << 64n) | unsigned(low);

/** As bigints, which better-sqlite3 binds without loss. */
export const toHalves = (bits: bigint): { high: bigint; low: bigint } => ({
  high: BigInt.asIntN(64, bits >> 64n),
  low: BigInt.asIntN(64, bits),
});
