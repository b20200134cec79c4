import { CommanderError } from 'commander';
import { X0tError, codeOf } from '#ledger/errors.ts';
import type { ErrorEnvelope } from '#node/api/errors.ts';
import { ApiError } from '#node/client.ts';

/** Where a command writes its result: text for people, or one JSON document a line. */
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
      const line = isJson ? JSON.stringify(value) : text();
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
  const detail = Object.entries(envelope.detail).map(
    ([name, value]) => `  ${name}: ${String(value)}\n`,
  );
  const request = envelope.requestId === '' ? '' : `  requestId: ${envelope.requestId}\n`;
  process.stderr.write(`x0t: ${envelope.message} (${envelope.code})\n${detail.join('')}${request}`);
}

/** `name  value` lines with aligned values. */
export function columns(rows: readonly (readonly [string, string | number])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join('');
}

/** `1 validator`, `4 validators`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** A UTC time, ISO 8601 with milliseconds. */
export function utc(ms: number): string {
  return new Date(ms).toISOString();
}
