// SPDX-License-Identifier: Apache-2.0
import { Command, InvalidArgumentError, Option } from 'commander';
import { parseDuration } from '../../duration.js';
import { CellwallError, ERRORS } from '../../errors.js';
import { CommandError } from '../client.js';

function count(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < 1)
    throw new InvalidArgumentError('give a whole number from 1.');
  return value;
}

function seconds(text: string): number {
  const value = parseDuration(text);
  if (value === undefined) throw new InvalidArgumentError('give it as 15m, 2h or 1d.');
  return value;
}

interface Options {
  readonly data: string;
  readonly grpcListen: string;
  readonly httpListen: string;
  readonly tls: 'auto' | 'own' | 'off';
  readonly tlsNames?: string;
  readonly kubernetesAgents?: string;
  readonly kubernetesApi: string;
  readonly kubernetesAccount: string;
  readonly agentCertificateLife: number;
  readonly generationFrom?: number;
  readonly tlsClientNames: 'node' | 'any';
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsClientCa?: string;
  readonly httpTokenFile?: string;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
  readonly retentionDays: number;
  readonly maxBytes: number;
  readonly clusterNetworks?: string;
  readonly apiServer?: string;
  readonly dnsServers?: string;
}

/** Runs until SIGTERM or SIGINT, or until a storage thread dies. */
async function run(options: Options): Promise<void> {
  // Loaded here: no other command needs the server's modules.
  const { startServer } = await import('../../app.js');
  try {
    const server = await startServer({ ...options, dataFolder: options.data });
    const asked = new Promise<void>((resolve) => {
      process.once('SIGTERM', resolve);
      process.once('SIGINT', resolve);
    });
    await Promise.race([asked, server.failed]);
    await server.close();
  } catch (error) {
    if (error instanceof CellwallError) throw new CommandError(error.message, ERRORS[error.code].exit, error.details);
    throw error;
  }
}

export function serverCommand(): Command {
  return new Command('server')
    .description('run the control plane: takes flows from agents, keeps them, pushes policy')
    .option('--data <folder>', 'where flows and policies are kept', './cellwall-data')
    .option('--grpc-listen <address>', 'for agents', '127.0.0.1:7480')
    .option('--http-listen <address>', 'for the CLI and the API', '127.0.0.1:7481')
    .addOption(
      new Option(
        '--tls <how>',
        'own: with an authority of its own, made at the first start; auto: that, when it can be reached from outside and --tls-cert is not given',
      )
        .choices(['auto', 'own', 'off'])
        .default('auto'),
    )
    .option('--tls-names <names>', 'names and addresses of this server for its own certificate, with commas between')
    .option('--agent-certificate-life <duration>', 'of certificates that it signs for agents', seconds, 86_400)
    .option(
      '--kubernetes-agents <account>',
      'NAMESPACE/NAME of the service account of agents that are pods: they get certificates with its tokens',
    )
    .option('--kubernetes-api <url>', 'of the API server', 'https://kubernetes.default.svc')
    .option(
      '--kubernetes-account <folder>',
      "with ca.crt and token of this server's own service account",
      '/var/run/secrets/kubernetes.io/serviceaccount',
    )
    .option('--tls-cert <file>', 'certificate from elsewhere')
    .option('--tls-key <file>', 'its key')
    .option('--tls-client-ca <file>', 'with --tls-cert: agents must show a certificate of this authority')
    .addOption(
      new Option('--tls-client-names <which>', 'node: such a certificate has to name the node; any: it need not')
        .choices(['node', 'any'])
        .default('node'),
    )
    .option('--http-token-file <file>', 'the API wants this token')
    .option('--retention-days <days>', 'older days of flows are removed', count, 30)
    .option('--max-bytes <bytes>', 'the oldest days of flows are removed above this, never today', count, 100e9)
    .option(
      '--cluster-networks <networks>',
      'of pods and services, as 10.244.0.0/16,10.96.0.0/12: policies call them Cluster',
    )
    .option('--api-server <networks>', 'addresses of the API server: isolated containers reach them all the same')
    .option('--dns-servers <networks>', 'addresses of resolvers: isolated containers reach their port 53 all the same')
    .option(
      '--generation-from <number>',
      'generations of policies go on from here: for agents that have seen newer ones than an older copy of the data has',
      count,
    )
    .addOption(
      new Option('--log-level <level>', 'on stderr').choices(['debug', 'info', 'warn', 'error']).default('info'),
    )
    .action(run);
}
