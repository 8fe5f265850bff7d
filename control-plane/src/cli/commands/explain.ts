// SPDX-License-Identifier: Apache-2.0
import { Command, Option } from 'commander';
import { useColor } from '../format.js';
import { addConnection, type ConnectionOptions, connect, print } from '../shared.js';

interface Said {
  policy: string;
  rule: string;
  denies: boolean;
}

interface Side {
  direction: string;
  end: 'own' | 'far';
  selectedBy: string[];
  isolatedBy: string[];
  rules: {
    policy: string;
    rule: string;
    action: string;
    mode: string;
    mirrored: boolean;
    match: string;
    why: string;
  }[];
  enforced: Said | null;
  all: Said | null;
}

interface End {
  container: string;
  node: string;
  direction: 'egress' | 'ingress';
  address: string;
  verdict: string;
  policy: string | null;
  rule: string | null;
  judged: boolean;
  name: string | null;
  candidates: { container: string | null; verdict: string; decides: boolean; egress: Side; ingress: Side }[];
  kernel: {
    verdict: string;
    policy: string | null;
    rule: string;
    generation: number;
    agrees: boolean;
    error: string | null;
  } | null;
}

interface Answer {
  explained: { from: string; to: string; verdict: string; ends: End[] }[];
  generation: number;
}

interface Options extends ConnectionOptions {
  from: string;
  to: string;
  port: string;
  protocol: string;
  name?: string;
  output: 'table' | 'json';
}

const COLORS: Readonly<Record<string, number>> = { allowed: 32, denied: 31, audit: 33 };
const colored = (text: string): string =>
  useColor(process.stdout) && COLORS[text] ? `\u001b[${COLORS[text]}m${text}\u001b[0m` : text;
/** Behind a verdict. */
function byRule(policy: string | null, rule: string | null): string {
  if (policy !== null) return ` by ${policy}:${rule}`;
  return rule === null ? ', no rule has a say' : ` by ${rule}`;
}

function opinion({ enforced, all }: Side): string {
  const text = (said: Said | null) =>
    said ? `${said.denies ? 'refused' : 'let through'} by ${said.policy}:${said.rule}` : 'nothing has a say';
  const audit = all?.denies && !enforced?.denies ? `; in audit mode ${text(all)}` : '';
  return text(enforced) + audit;
}

function printSide(who: string, side: Side): void {
  print(`    ${side.direction} of ${who}: ${opinion(side)}\n`);
  if (side.selectedBy.length > 0) print(`      policies: ${side.selectedBy.join(', ')}\n`);
  if (side.isolatedBy.length > 0) print(`      isolated by: ${side.isolatedBy.join(', ')}\n`);
  for (const { policy, rule, action, mode, mirrored, match, why } of side.rules) {
    const mark = { yes: '+', may: '?', no: '-' }[match];
    const notes = [mode === 'Audit' ? 'audit' : '', mirrored ? 'written at the other end' : ''].filter(Boolean);
    print(
      `      ${mark} ${action.padEnd(6)} ${policy}:${rule} ${why}${notes.length ? ` (${notes.join(', ')})` : ''}\n`,
    );
  }
}

function kernelText({ kernel, node }: End): string {
  if (!kernel) return `the agent of ${node} is away: what its kernel enforces is not known`;
  if (kernel.error) return `the kernel of ${node} was not asked: ${kernel.error}`;
  const says = `${colored(kernel.verdict)}${byRule(kernel.policy, kernel.rule)}, generation ${kernel.generation}`;
  return `the kernel of ${node} ${kernel.agrees ? 'agrees' : 'DOES NOT AGREE'}: ${says}`;
}

function printEnd(end: End, to: string): void {
  const egress = end.direction === 'egress';
  print(`\n  at ${end.container} on ${end.node}, ${egress ? 'which calls' : 'which is called by'} ${end.address}\n`);
  if (!end.judged) print('    no policy is about it: everything is let through\n');
  for (const { container, verdict, decides, ...sides } of end.candidates) {
    const other = container ?? (egress ? to : end.address);
    if (end.candidates.length > 1)
      print(`    if ${other} is meant: ${colored(verdict)}${decides ? ', which decides' : ''}\n`);
    const far = container ?? 'nobody that is known';
    printSide(egress ? end.container : far, sides.egress);
    printSide(egress ? far : end.container, sides.ingress);
  }
  if (end.name) print(`    the name is accepted by ${end.name}\n`);
  print(`    here: ${colored(end.verdict)}${end.judged ? byRule(end.policy, end.rule) : ''}\n`);
  print(`    ${kernelText(end)}\n`);
}

async function run({ from, to, port, protocol, name, output, ...options }: Options): Promise<void> {
  const answer = await connect(options).json<Answer>('GET', '/v1/explain', { from, to, port, protocol, name });
  if (output === 'json') return print(`${JSON.stringify(answer, null, 2)}\n`);
  for (const [index, it] of answer.explained.entries()) {
    print(`${index ? '\n' : ''}${it.from} -> ${it.to} ${protocol} ${port}: ${colored(it.verdict)}\n`);
    for (const end of it.ends) printEnd(end, it.to);
  }
}

export function explainCommand(): Command {
  const command = new Command('explain')
    .description('what would become of a connection: which policies select, which rules match, what the kernel says')
    .requiredOption('--from <container>', 'NAMESPACE/POD/CONTAINER, POD/CONTAINER, CONTAINER or an address')
    .requiredOption('--to <container>', 'as --from')
    .requiredOption('--port <port>', 'of the destination; of ICMP, the type')
    .option('--protocol <protocol>', 'tcp, udp, icmp, icmpv6 or a number', 'tcp')
    .option('--name <dns-name>', 'under which the caller has looked the address up')
    .addOption(new Option('-o, --output <format>', 'how to print').choices(['table', 'json']).default('table'))
    .addHelpText(
      'after',
      `
Examples:
  cellwall explain --from shop/web/nginx --to shop/db/postgres --port 5432
  cellwall explain --from web/nginx --to 192.0.2.7 --port 443 --name api.example.com`,
    );
  return addConnection(command).action(run);
}
