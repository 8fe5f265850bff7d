// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';

/** IS_BUILT=1: whoever calls has just done it. */
export default function build() {
  if (process.env.IS_BUILT === '1') return;
  execFileSync('npm', ['run', '--silent', 'build'], { stdio: 'inherit' });
}
