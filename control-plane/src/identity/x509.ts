// SPDX-License-Identifier: Apache-2.0
//
// The library for certificates. Import it from here only: it wants its polyfill before it is loaded.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { cryptoProvider } from '@peculiar/x509';

cryptoProvider.set(webcrypto as never);

export * from '@peculiar/x509';
