// SPDX-License-Identifier: Apache-2.0

/** "*.example.com" stands for all names below example.com, not for itself. */
export function nameMatches(pattern: string, name: string): boolean {
  return pattern.startsWith('*.')
    ? name.endsWith(pattern.slice(1)) && name.length > pattern.length - 1
    : name === pattern;
}
