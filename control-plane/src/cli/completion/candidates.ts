// SPDX-License-Identifier: Apache-2.0
//
// What the word under the cursor may become, read from the commands themselves.
import type { Argument, Command, Option } from 'commander';

/** A field of /v1/hints. */
export type Field = 'container' | 'namespace' | 'pod' | 'node' | 'policy' | 'name' | 'service' | 'token' | 'proposal';

export interface Candidates {
  /** Whole words. */
  readonly words: readonly string[];
  /** The server knows more: values of `field` that begin with `prefix`, to be put behind `before`. */
  readonly hint?: { readonly field: Field; readonly prefix: string; readonly before: string };
  /** The shell knows better. */
  readonly files?: boolean;
  /** As given in the words before. */
  readonly server?: string;
  readonly token?: string;
}

interface Values {
  readonly words?: readonly string[];
  readonly field?: Field;
  readonly files?: boolean;
}

const TIMES = { words: ['15m', '1h', '6h', '1d', '7d'] };

/** By what stands for the value in the help: "node" of `--on <node>`. */
const BY_PLACEHOLDER: ReadonlyMap<string, Values> = new Map<string, Values>([
  ['container', { field: 'container' }],
  ['namespace', { field: 'namespace' }],
  ['pod', { field: 'pod' }],
  ['node', { field: 'node' }],
  ['policy', { field: 'policy' }],
  ['file', { files: true }],
  ['folder', { files: true }],
  ['time', TIMES],
  ['address', {}],
  ['token-name', { field: 'token' }],
  ['proposal', { field: 'proposal' }],
  ['dns-name', { field: 'name' }],
]);

/** By the option's own name, where the placeholder says less: `--container <name>`. */
const BY_OPTION: ReadonlyMap<string, Values> = new Map<string, Values>([
  ['container', { field: 'container' }],
  ['namespace', { field: 'namespace' }],
  ['pod', { field: 'pod' }],
  ['node', { field: 'node' }],
  ['policy', { field: 'policy' }],
  ['service', { field: 'service' }],
  ['from', { field: 'container' }],
  ['to', { field: 'container' }],
]);

function valuesOf(option: Option): Values {
  if (option.argChoices) return { words: option.argChoices };
  const placeholder = /[<[]([^\]>.]+)/.exec(option.flags)?.[1] ?? '';
  return BY_PLACEHOLDER.get(placeholder) ?? BY_OPTION.get(option.attributeName()) ?? {};
}

function valuesOfArgument(argument: Argument | undefined): Values {
  if (argument?.argChoices) return { words: argument.argChoices };
  return BY_PLACEHOLDER.get(argument?.name() ?? '') ?? {};
}

const takesValue = (option: Option): boolean => option.required || option.optional;
const isRepeatable = (option: Option): boolean => option.variadic || Array.isArray(option.defaultValue);
const findOption = (command: Command, flag: string): Option | undefined =>
  command.options.find((option) => option.long === flag || option.short === flag);

/** Follows the words before the cursor. */
class Walk {
  command: Command;
  readonly given = new Map<Option, string>();
  /** An option that waits for its value. */
  waiting: Option | undefined;
  argumentsSeen = 0;
  optionsOver = false;

  constructor(program: Command) {
    this.command = program;
  }

  step(word: string): void {
    if (this.waiting) this.#value(this.waiting, word);
    else if (!this.optionsOver && word === '--') this.optionsOver = true;
    else if (!this.optionsOver && word.length > 1 && word.startsWith('-')) this.#option(word);
    else this.#operand(word);
  }

  #value(option: Option, word: string): void {
    this.given.set(option, word);
    this.waiting = undefined;
  }

  #option(word: string): void {
    const [flag = '', value] = word.startsWith('--') ? word.split(/=(.*)/s) : [word];
    const option = findOption(this.command, flag);
    if (!option) return;
    this.given.set(option, value ?? '');
    // The value of an option that can do without one is what does not look like an option; nothing here has such.
    if (option.required && value === undefined) this.waiting = option;
  }

  #operand(word: string): void {
    const next = this.command.commands.find((it) => it.name() === word || it.aliases().includes(word));
    // `help` is followed by the commands of its own level.
    if (next && this.argumentsSeen === 0) this.command = next;
    else if (!(word === 'help' && this.command.commands.length > 0)) this.argumentsSeen++;
  }

  valueOf(name: string): string | undefined {
    return [...this.given].find(([option]) => option.attributeName() === name)?.[1];
  }

  optionFlags(): string[] {
    const visible = this.command.createHelp().visibleOptions(this.command);
    return visible
      .filter((option) => isRepeatable(option) || !this.given.has(option))
      .map((option) => option.long ?? option.short ?? '');
  }

  operands(): Values {
    const { command } = this;
    if (command.commands.length === 0) {
      const { registeredArguments: known } = command;
      const last = known.at(-1);
      return valuesOfArgument(known[this.argumentsSeen] ?? (last?.variadic ? last : undefined));
    }
    if (this.argumentsSeen > 0) return {};
    return {
      words: command
        .createHelp()
        .visibleCommands(command)
        .map((it) => it.name()),
    };
  }
}

function expand({ words = [], field, files }: Values, prefix: string, before: string): Candidates {
  return {
    words: words.filter((word) => word.startsWith(prefix)).map((word) => before + word),
    ...(field && { hint: { field, prefix, before } }),
    ...(files && { files }),
  };
}

function complete(walk: Walk, word: string): Candidates {
  if (walk.waiting) return expand(valuesOf(walk.waiting), word, '');
  if (!walk.optionsOver && word.startsWith('-')) {
    const [, flag, prefix] = /^(--[^=]+)=(.*)$/s.exec(word) ?? [];
    if (flag === undefined) return expand({ words: walk.optionFlags() }, word, '');
    const option = findOption(walk.command, flag);
    return expand(option && takesValue(option) ? valuesOf(option) : {}, prefix ?? '', `${flag}=`);
  }
  const operands = walk.operands();
  const nothing = !operands.words && !operands.field && !operands.files;
  return expand(nothing && word === '' && !walk.optionsOver ? { words: walk.optionFlags() } : operands, word, '');
}

/** `words` follow the name of the program; the last one is under the cursor. */
export function candidates(program: Command, words: readonly string[]): Candidates {
  const walk = new Walk(program);
  for (const word of words.slice(0, -1)) walk.step(word);
  const server = walk.valueOf('server');
  const token = walk.valueOf('token');
  return {
    ...complete(walk, words.at(-1) ?? ''),
    ...(server !== undefined && { server }),
    ...(token !== undefined && { token }),
  };
}
