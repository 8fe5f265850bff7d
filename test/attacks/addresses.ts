// SPDX-License-Identifier: Apache-2.0
//
// The world outside the node: one machine that the policy lets containers reach, and behind it one that it does not.

/** Lets through what is routed by way of it: the hop of source routes and routing headers. */
export const ALLOWED = '198.51.100.10';
export const ALLOWED6 = '2001:db8:a::10';

/** Nothing may arrive in these networks, whose addresses are all of one machine: /16 and /64. */
export const FORBIDDEN_NETWORK = '198.18.0.0';
export const FORBIDDEN_NETWORK6 = '2001:db8:f::';

/** The addresses of one attack, so that what arrives says whose it is, and many can run at once. */
export const forbiddenOf = (index: number): string => `198.18.${index >> 8}.${index & 255}`;
export const forbidden6Of = (index: number): string => `2001:db8:f::${index.toString(16)}`;

/** Announced by a multipath server that is allowed. */
export const ANNOUNCED = forbiddenOf(0xff01);
/** A name that is allowed and one that is not both have it. */
export const SHARED = forbiddenOf(0xff02);

export const PORT = '7000';
/** On loopback, in a pod. */
export const LOCAL_PORT = '7100';
/** Of the container that others take it from. */
export const OWNED_PORT = '9000';

export const ALLOWED_NAME = 'good.test';
export const ALLOWED_NAME_OF_SHARED = 'shared.test';

/** Stand for the address of the attack, and for addresses that are known when the pods run. */
export const FORBIDDEN = '{forbidden}';
export const FORBIDDEN6 = '{forbidden6}';
export const RESOLVER = '{resolver}';
export const RESOLVER6 = '{resolver6}';
export const POD = '{pod}';
export const POD6 = '{pod6}';
/** Stands for how often a race is tried. */
export const TRIES = '{tries}';
