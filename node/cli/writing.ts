import type { Command } from 'commander';
import type { Written } from '#node/client.ts';
import { wholeNumber } from './command.ts';
import { withNode } from './places.ts';
import type { NodeOptions } from './places.ts';

/** Options of commands that make an event. */
export interface WritingOptions extends NodeOptions {
  readonly wait?: boolean;
  /** Seconds. */
  readonly timeout: number;
  readonly ifSeq?: number;
}

const TIMEOUT_S = 10;
const TIMEOUT_S_MAX = 60;

export function withWriting(command: Command): Command {
  return withNode(command)
    .option('--wait', 'until it is final')
    .option(
      '--timeout <seconds>',
      'with --wait: at most',
      wholeNumber(1, TIMEOUT_S_MAX),
      TIMEOUT_S,
    );
}

export function describeWritten({ id, state, seq, verdict }: Written): string {
  return state === 'final' && seq !== undefined
    ? `final ${seq}, ${verdict}: ${id}`
    : `${state}: ${id}`;
}
