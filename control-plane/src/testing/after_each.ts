// SPDX-License-Identifier: Apache-2.0
const cleanUps: (() => unknown)[] = [];

/** Called after every test of every file; what was registered last is called first. */
export function afterEachTest(cleanUp: () => unknown): void {
  cleanUps.push(cleanUp);
}

export async function cleanUp(): Promise<void> {
  for (const next of cleanUps.toReversed()) await next();
}
