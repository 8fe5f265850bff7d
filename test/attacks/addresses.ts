// SPDX-License-Identifier: Apache-2.0
//
// The world outside the node: one machine that the policy lets containers reach, and behind it one that it does not.

/** Lets through what is routed by way of it: the hop of source routes and routing headers. */
export const ALLOWED = '198.51.100.10';
export const ALLOWED6 = '2001:db8:a::10';

/** Nothing may arrive in these networks. */
export const FORBIDDEN = '203.0.113.9';
export const FORBIDDEN6 = '2001:db8:f::9';
export const FORBIDDEN_NETWORK = '203.0.113.0';
export const FORBIDDEN_NETWORK6 = '2001:db8:f::';

/** Of the same machine; a name that is allowed and one that is not both have it. */
export const SHARED = '203.0.113.77';

export const PORT = '7000';
/** On loopback, in a pod. */
export const LOCAL_PORT = '7100';
/** Of the container that others take it from. */
export const OWNED_PORT = '9000';

export const ALLOWED_NAME = 'good.test';
export const ALLOWED_NAME_OF_SHARED = 'shared.test';

/** Stand for addresses that are known when the pods run. */
export const RESOLVER = '{resolver}';
export const RESOLVER6 = '{resolver6}';
export const POD = '{pod}';
export const POD6 = '{pod6}';
/** Stands for how often a race is tried. */
export const TRIES = '{tries}';
