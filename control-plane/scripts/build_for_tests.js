// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';

export default function build() {
  execFileSync('npm', ['run', '--silent', 'build'], { stdio: 'inherit' });
}
