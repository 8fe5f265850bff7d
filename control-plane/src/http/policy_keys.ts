// SPDX-License-Identifier: Apache-2.0
import { documentKey, type Kind } from '../policy/index.js';

/** Of the document that a path names; "-" stands for no namespace. */
export function policyKeyAt(kind: Kind, { namespace, name }: { namespace: string; name: string }): string {
  return documentKey({ kind, namespace: namespace === '-' ? '' : namespace, name });
}
