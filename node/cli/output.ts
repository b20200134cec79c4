import { CommanderError } from 'commander';
import { X0tError, codeOf } from '#ledger/errors.ts';
import type { ErrorEnvelope } from '#node/api/errors.ts';
import { ApiError } from '#node/client.ts';
import { inLine, printable } from './printable.ts';

/**
 * Where a command writes its result: text for people, in which controls are escaped whoever wrote
 * them, or one JSON document a line.
 */
export interface Output {
  readonly isJson: boolean;
  /** Writes one result in the form that was asked for. A command that streams calls it often. */
  show(value: object, text: () => string): void;
}

/** Results go to stdout; progress, logs and errors to stderr. */
export function stdoutOutput(isJson: boolean): Output {
  return {
    isJson,
    show: (value, text) => {
      const line = isJson ? JSON.stringify(value) : printable(text());
      process.stdout.write(line.endsWith('\n') ? line : `${line}\n`);
    },
  };
}

/** The envelope of the API for anything thrown; `requestId` is empty where no node was asked. */
export function envelopeOf(error: unknown): ErrorEnvelope {
  if (error instanceof CommanderError) {
    const message = error.message.replace(/^error: /, '');
    return { code: 'usage', message, detail: { hint: 'see --help' }, requestId: '' };
  }
  const requestId = error instanceof ApiError ? error.requestId : '';
  if (error instanceof X0tError) {
    return { code: error.code, message: error.message, detail: error.data, requestId };
  }
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { code: codeOf(error), message, detail: {}, requestId };
}

/** Writes an error to stderr. */
export function reportError(error: unknown, isJson: boolean): void {
  const envelope = envelopeOf(error);
  if (isJson) {
    process.stderr.write(`${JSON.stringify(envelope)}\n`);
    return;
  }
  process.stderr.write(textOf(envelope, error instanceof ApiError ? inLine : printable));
}

function textOf(
  { code, message, detail, requestId }: ErrorEnvelope,
  shown: (text: string) => string,
): string {
  const details = Object.entries(detail).map(
    ([name, value]) => `  ${inLine(name)}: ${inLine(String(value))}\n`,
  );
  const request = requestId === '' ? '' : `  requestId: ${inLine(requestId)}\n`;
  return `x0t: ${shown(message)} (${inLine(code)})\n${details.join('')}${request}`;
}

/** A remark on stderr. */
export function remark(text: string): void {
  process.stderr.write(`x0t${inLine(text)}\n`);
}

/** `name  value` lines with aligned values. */
export function columns(rows: readonly (readonly [string, string | number])[]): string {
  const cells = rows.map(([name, value]) => [inLine(name), inLine(String(value))] as const);
  const width = Math.max(...cells.map(([name]) => name.length));
  return cells.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join('');
}

/** `1 validator`, `4 validators`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** A UTC time, ISO 8601 with milliseconds. */
export function utc(ms: number): string {
  return new Date(ms).toISOString();
}
