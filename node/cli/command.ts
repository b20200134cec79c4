import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import { closeAll } from './ending.ts';
import { stdoutOutput } from './output.ts';
import type { Output } from './output.ts';

/** Every command has these. */
interface Common {
  readonly json?: boolean;
}

/** What a command does with its arguments and options. */
type Action<Options> = (out: Output, options: Options, ...args: string[]) => Promise<void>;

/** Adds a command with `--json` and examples. `usage` is its name and arguments. */
export function addCommand<Options>(
  parent: Command,
  usage: string,
  about: string,
  examples: readonly string[],
): { readonly command: Command; readonly does: (action: Action<Options>) => void } {
  const command = parent.command(usage).description(about);
  command.option('--json', 'print JSON: one document, or one a line for a stream');
  const lines = examples.map((line) => `  $ npx ${line}\n`);
  command.addHelpText('after', `\nExamples:\n${lines.join('')}`);
  return {
    command,
    does: (action) => {
      command.action(async () => {
        const isDataGiven = command.getOptionValueSource('data') === 'cli';
        const options = { ...command.opts<Options & Common>(), isDataGiven };
        const args = command.processedArgs as string[];
        try {
          await action(stdoutOutput(options.json ?? false), options, ...args);
        } finally {
          closeAll();
        }
      });
    },
  };
}

/** Parses a whole number in a range, for commander. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^[0-9]+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`A whole number from ${min} to ${max} is expected.`);
  };
}

export const portNumber = wholeNumber(0, 65_535);

/** For an option that may be given more than once. */
export function collect(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}
