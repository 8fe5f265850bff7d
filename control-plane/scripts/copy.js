// SPDX-License-Identifier: Apache-2.0
//
// Puts beside tsc's output what tsc does not: the generated protobuf code.
import { chmodSync, cpSync } from 'node:fs';

cpSync('control-plane/src/grpc/generated', 'dist/control-plane/src/grpc/generated', { recursive: true });
chmodSync('dist/control-plane/src/cli/main.js', 0o755);
