// SPDX-License-Identifier: Apache-2.0
import { Command, InvalidArgumentError, Option } from 'commander';
import { KUBERNETES } from '../../config.js';
import { parseDuration } from '../../duration.js';
import { asCommandError, count, DEFAULT_SERVER, print } from '../shared.js';

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
  readonly kubernetes: 'auto' | 'on' | 'off';
  readonly networkPolicies: 'off' | 'audit';
  readonly kubernetesAuthority?: string;
  readonly kubernetesApi: string;
  readonly kubernetesAccount: string;
  readonly agentCertificateLife: number;
  readonly generationFrom?: number;
  readonly tlsClientNames: 'node' | 'any';
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsClientCa?: string;
  readonly httpTokenFile?: string;
  readonly kubernetesAuth?: boolean;
  readonly selfApproval?: boolean;
  readonly httpRate: number;
  readonly querySeconds: number;
  readonly queryRows: number;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
  readonly retentionDays: number;
  readonly rollupDays: number;
  readonly maxBytes: number;
  readonly clusterNetworks?: string;
  readonly apiServer?: string;
  readonly dnsServers?: string;
}

/** On standard output: the log, on standard error, is kept by others. */
function firstLogin(address: string, token: string): string {
  const url = address === DEFAULT_SERVER ? '' : ` --server ${address}`;
  return `
Nobody can log in to this server yet. Within an hour, once, this makes you its admin:

  cellwall login${url}

and paste, when it asks for the token: ${token}

`;
}

/** Runs until SIGTERM or SIGINT, or until a storage thread dies. */
async function run(options: Options): Promise<void> {
  // Loaded here: no other command needs the server's modules.
  const { startServer } = await import('../../app.js');
  try {
    const server = await startServer({ ...options, kubernetesMode: options.kubernetes, dataFolder: options.data });
    if (server.onceToken) print(firstLogin(server.httpAddress, server.onceToken));
    const asked = new Promise<void>((resolve) => {
      process.once('SIGTERM', resolve);
      process.once('SIGINT', resolve);
    });
    await Promise.race([asked, server.failed]);
    await server.close();
  } catch (error) {
    asCommandError(error);
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
    .addOption(
      new Option(
        '--kubernetes <how>',
        'on: policies are read from Kubernetes, too, and what they mean from its pods, services and nodes; auto: that, where this server is a pod',
      )
        .choices(['auto', 'on', 'off'])
        .default('auto'),
    )
    .addOption(
      new Option(
        '--network-policies <how>',
        'audit: the NetworkPolicies of Kubernetes are read as policies that refuse nothing: what they would refuse is on record, by container',
      )
        .choices(['off', 'audit'])
        .default('off'),
    )
    .option(
      '--kubernetes-authority <map>',
      'NAMESPACE/NAME of a ConfigMap that gets the certificate of the authority, for the pods of agents',
    )
    .option('--kubernetes-api <url>', 'of the API server', KUBERNETES.api)
    .option(
      '--kubernetes-account <folder>',
      "with ca.crt and token of this server's own service account",
      KUBERNETES.folder,
    )
    .option('--tls-cert <file>', 'certificate from elsewhere')
    .option('--tls-key <file>', 'its key')
    .option('--tls-client-ca <file>', 'with --tls-cert: agents must show a certificate of this authority')
    .addOption(
      new Option('--tls-client-names <which>', 'node: such a certificate has to name the node; any: it need not')
        .choices(['node', 'any'])
        .default('node'),
    )
    .option('--http-token-file <file>', 'a token of the role admin, for machines')
    .option('--kubernetes-auth', 'take tokens of Kubernetes: TokenReview says who, RBAC what they may')
    .option('--self-approval', 'admins may approve what they have proposed themselves')
    .option('--http-rate <requests>', 'each second, of one caller of the API', count, 100)
    .option('--query-seconds <seconds>', 'a question that takes longer is stopped', count, 10)
    .option('--query-rows <rows>', 'a question that reads more is stopped', count, 20_000_000)
    .option('--retention-days <days>', 'older days of flows are removed', count, 30)
    .option('--rollup-days <days>', 'of older days, the sums by hour are kept so long', count, 400)
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
