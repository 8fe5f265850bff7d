// SPDX-License-Identifier: Apache-2.0

/** Each includes the ones before it. */
export const ROLES = ['view', 'propose', 'admin'] as const;
export type Role = (typeof ROLES)[number];

export function includes(has: Role, needed: Role): boolean {
  return ROLES.indexOf(has) >= ROLES.indexOf(needed);
}
