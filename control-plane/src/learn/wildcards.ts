// SPDX-License-Identifier: Apache-2.0
//
// Many names below one domain as one pattern.

/** Labels of a domain that may stand behind "*.": "example.com" has one owner, "com" and "co.uk" have not. */
const FEWEST_LABELS = 3;

/** Only below a third-level domain: of a shorter one, only a list of public suffixes could tell whose it is. */
function parentOf(name: string): string | undefined {
  const labels = name.split('.');
  return labels.length > FEWEST_LABELS ? labels.slice(1).join('.') : undefined;
}

/** Names, sorted; from `enough` names below one domain on, "*." and that domain. null: never. */
export function wildcards(names: readonly string[], enough: number | null): string[] {
  const all = [...new Set(names)].sort();
  if (enough === null) return all;
  const below = new Map<string, number>();
  for (const name of all) {
    const parent = parentOf(name);
    if (parent !== undefined) below.set(parent, (below.get(parent) ?? 0) + 1);
  }
  const patterns = [...below].filter(([, count]) => count >= enough).map(([parent]) => parent);
  const left = all.filter((name) => !patterns.some((parent) => name.endsWith(`.${parent}`)));
  return [...left, ...patterns.map((parent) => `*.${parent}`)].sort();
}
