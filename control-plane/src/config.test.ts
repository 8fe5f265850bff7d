// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isLoopback, readConfig } from './config.js';
import { certificates, TOKEN } from './testing/certificates.js';
import { temporaryFolder } from './testing/folder.js';
import { optionsFor } from './testing/server.js';

const options = optionsFor('/nowhere');

function file(content: string): string {
  const path = join(temporaryFolder(), 'file');
  writeFileSync(path, content);
  return path;
}

describe('readConfig', () => {
  it('takes plain text on addresses of this machine', () => {
    expect(readConfig({ ...options, grpcListen: '[::1]:0', httpListen: 'localhost:7481' })).toMatchObject({
      grpc: { host: '::1', port: 0 },
      http: { host: 'localhost', port: 7481 },
      tls: undefined,
    });
  });

  it('refuses plain text on addresses that can be reached from outside', () => {
    expect(() => readConfig({ ...options, tls: 'off', grpcListen: '0.0.0.0:7480' })).toThrowError(/--tls own/);
    expect(() => readConfig({ ...options, tls: 'off', httpListen: '10.0.0.1:7481' })).toThrowError(/TLS/);
  });

  it('refuses TLS without certificates of agents on such addresses; people need a token anyway', () => {
    const path = certificates();
    const tls = { tlsCert: path('server.pem'), tlsKey: path('server.key') };
    expect(() => readConfig({ ...options, ...tls, grpcListen: '0.0.0.0:7480' })).toThrowError(/--tls-client-ca/);
    expect(readConfig({ ...options, ...tls, httpListen: '0.0.0.0:7481' }).httpToken).toBeUndefined();
    const all = { ...tls, tlsClientCa: path('ca.pem'), httpTokenFile: path('token') };
    const config = readConfig({ ...options, ...all, grpcListen: '0.0.0.0:7480', httpListen: '0.0.0.0:7481' });
    expect(config.httpToken).toBe(TOKEN);
  });

  it('makes certificates of its own where none are given and the server can be reached from outside', () => {
    const { tls } = readConfig({ ...options, grpcListen: '192.0.2.7:7480', tlsNames: 'cellwall.example, 10.1.2.3' });
    expect(tls).toMatchObject({ kind: 'own', agentLifeMs: 86_400_000 });
    expect(tls?.kind === 'own' && tls.names).toEqual(
      expect.arrayContaining(['cellwall.example', '10.1.2.3', '192.0.2.7', 'localhost', '127.0.0.1']),
    );
    expect(readConfig({ ...options, tls: 'own' }).tls?.kind).toBe('own');
  });

  it.each([
    ['a name that is none', { tls: 'own' as const, tlsNames: 'a b' }, /--tls-names: "a b"/],
    ['certificates that end at once', { tls: 'own' as const, agentCertificateLife: 5 }, /--agent-certificate-life/],
    [
      'a service account without a namespace',
      { tls: 'own' as const, kubernetesAgents: 'agent' },
      /--kubernetes-agents agent/,
    ],
    ['a port that is too large', { httpListen: '127.0.0.1:70000' }, /HOST:PORT/],
    ['an address without a port', { grpcListen: '127.0.0.1' }, /HOST:PORT/],
    ['a certificate without its key', { tlsCert: '/nowhere' }, /go together/],
    [
      'a certificate file that is not there',
      { tlsCert: '/nowhere/c', tlsKey: '/nowhere/k' },
      /\/nowhere\/c.*no such file/,
    ],
    ['a token file that is not there', { httpTokenFile: '/nowhere/t' }, /\/nowhere\/t.*no such file/],
    ['no days of retention', { retentionDays: 0 }, /--retention-days/],
    [
      'a network with bits after its prefix',
      { clusterNetworks: '10.1.0.0/8' },
      /--cluster-networks: .*did you mean 10.0.0.0/,
    ],
    ['a name of a resolver', { dnsServers: 'resolver.local' }, /--dns-servers: "resolver.local" is not a network/],
    ['no requests a second', { httpRate: 0 }, /--http-rate/],
    ['an API server without TLS', { kubernetesAuth: true, kubernetesApi: 'http://10.0.0.1' }, /--kubernetes-api/],
    ['half a byte', { maxBytes: 0.5 }, /--max-bytes/],
  ])('refuses %s', (_, wrong, message) => {
    expect(() => readConfig({ ...options, ...wrong })).toThrowError(message);
  });

  it('reads networks of the cluster, and single addresses, between commas', () => {
    const { policy } = readConfig({ ...options, clusterNetworks: '10.244.0.0/16, fd00::/8', apiServer: '10.96.0.1' });
    expect(policy.clusterNetworks.map(({ text }) => text)).toEqual(['10.244.0.0/16', 'fd00::/8']);
    expect(policy.apiServer).toMatchObject([{ text: '10.96.0.1', prefix: 128 }]);
    expect(policy.dnsServers).toEqual([]);
  });

  it('refuses to read NetworkPolicies where it reads nothing of Kubernetes', () => {
    const audit = { ...options, networkPolicies: 'audit' as const, kubernetesAccount: '/nowhere' };
    expect(() => readConfig(audit)).toThrowError(/--network-policies audit: .*--kubernetes on/);
    expect(readConfig({ ...audit, kubernetesMode: 'on' }).networkPolicies).toBe('audit');
    expect(readConfig(options).networkPolicies).toBe('off');
  });

  it('refuses a certificate that is none, and a token that is short', () => {
    expect(() => readConfig({ ...options, tlsCert: file('no key'), tlsKey: file('no key') })).toThrowError(
      /no certificate in PEM form/,
    );
    expect(() => readConfig({ ...options, httpTokenFile: file('short') })).toThrowError(/at least 16/);
  });
});

it('a name that begins like a loopback address is not one', () => {
  expect(isLoopback('127.0.0.1')).toBe(true);
  expect(isLoopback('127.example.com')).toBe(false);
});
