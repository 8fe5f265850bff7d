// SPDX-License-Identifier: Apache-2.0

/** "*.example.com" stands for all names below example.com, not for itself. */
export function nameMatches(pattern: string, name: string): boolean {
  return pattern.startsWith('*.')
    ? name.endsWith(pattern.slice(1)) && name.length > pattern.length - 1
    : name === pattern;
}

export const LONGEST_DOMAIN = 240;

/** That a rule can have, in lower case; "*." may stand in front. */
export const isDomainName = (text: string): boolean =>
  text.length <= LONGEST_DOMAIN && /^(\*\.)?[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/.test(text);
