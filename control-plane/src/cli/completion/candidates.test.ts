// SPDX-License-Identifier: Apache-2.0
import { Argument, Command, Option } from 'commander';
import { expect, test } from 'vitest';
import { candidates } from './candidates.js';

function program(): Command {
  const main = new Command('tool').version('1');
  const list = main
    .command('list')
    .option('-c, --container <name>', '')
    .option('--on <node>', '')
    .option('--label <key=value>', '', (value: string, before: string[]) => [...before, value], [])
    .option('--from <time>', '')
    .option('--config <file>', '')
    .option('--server <url>', '')
    .option('-w, --wait', '')
    .addOption(new Option('-o, --output <format>', '').choices(['table', 'json', 'jsonl']))
    .addOption(new Option('--secret', '').hideHelp());
  list.alias('ls');
  const policy = main.command('policy');
  policy.command('get').argument('[policy]').option('--yaml', '');
  policy.command('apply').argument('<files...>');
  main.command('completion').addArgument(new Argument('<shell>').choices(['bash', 'zsh']));
  main.addCommand(new Command('__internal'), { hidden: true });
  return main;
}

const words = (...line: string[]) => candidates(program(), line).words;

test.each([
  [[''], ['list', 'policy', 'completion', 'help']],
  [['pol'], ['policy']],
  [
    ['policy', ''],
    ['get', 'apply', 'help'],
  ],
  [['help', 'li'], ['list']],
  [['__'], []],
  [['nothing', ''], []],
])('%j: commands, and not the hidden ones', (line, wanted) => {
  expect(words(...line).filter((word) => !word.startsWith('-'))).toEqual(wanted);
});

test.each([
  [
    ['list', '--o'],
    ['--on', '--output'],
  ],
  [
    ['ls', '--o'],
    ['--on', '--output'],
  ],
  [['list', '--s'], ['--server']],
  [['list', '-o', 'json', '--o'], ['--on']],
  [['list', '--on=a', '--o'], ['--output']],
  [['list', '--wait', '--w'], []],
  [['list', '--label', 'a=b', '--la'], ['--label']],
  [['list', '--', '--o'], []],
  [
    ['policy', 'get', '--'],
    ['--yaml', '--help'],
  ],
  [
    ['policy', 'get', '-'],
    ['--yaml', '--help'],
  ],
])('%j: options of the command, once unless they may be repeated', (line, wanted) => {
  expect(words(...line)).toEqual(wanted);
});

test('a command without arguments shows its options before anything is typed', () => {
  expect(words('list', '')).toContain('--output');
  expect(words('policy', 'get', '')).toEqual([]);
});

test.each([
  [
    ['list', '-o', ''],
    ['table', 'json', 'jsonl'],
  ],
  [
    ['list', '--output', 'js'],
    ['json', 'jsonl'],
  ],
  [
    ['list', '--output=js'],
    ['--output=json', '--output=jsonl'],
  ],
  [['list', '--wait', '-o', 't'], ['table']],
  [
    ['list', '--from', '1'],
    ['15m', '1h', '1d'],
  ],
  [
    ['completion', ''],
    ['bash', 'zsh'],
  ],
  [['completion', 'bash', ''], ['--help']],
])('%j: fixed choices', (line, wanted) => {
  expect(words(...line)).toEqual(wanted);
});

test.each([
  [['list', '-c', 'shop/'], 'container', 'shop/', ''],
  [['list', '--container=shop/'], 'container', 'shop/', '--container='],
  [['list', '--on', ''], 'node', '', ''],
  [['policy', 'get', 'observation:s'], 'policy', 'observation:s', ''],
])('%j: the server knows', (line, field, prefix, before) => {
  expect(candidates(program(), line)).toEqual({ words: [], hint: { field, prefix, before } });
});

test('the server and the token of the line are used', () => {
  expect(candidates(program(), ['list', '--server', 'http://a:1', '--on', ''])).toMatchObject({ server: 'http://a:1' });
  expect(candidates(program(), ['list', '--server=http://a:1', '--on', ''])).toMatchObject({ server: 'http://a:1' });
});

test('names of files are left to the shell', () => {
  expect(candidates(program(), ['list', '--config', 'x'])).toEqual({ words: [], files: true });
});
