// SPDX-License-Identifier: Apache-2.0

/** Of projected tokens for agents. */
export const AUDIENCE = 'cellwall-agent';

export interface ReviewedPod {
  /** system:serviceaccount:NAMESPACE:NAME, and the pod. */
  readonly who: string;
  /** On which the pod runs. */
  readonly node: string;
}

/** Knows whose a ServiceAccount's token is. */
export interface ServiceAccountReviewer {
  /** Throws unauthorized or store_unavailable. */
  review(token: string): Promise<ReviewedPod>;
}
