/**
 * Counts what runs in this thread and writes it for nyc: at exit, on the signals that end a process
 * by default, and before a worker is terminated. A process ended by SIGKILL loses its counts.
 */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker, isMainThread, threadId } from 'node:worker_threads';
import { countsOf } from './coverage-counts.ts';
import type { Coverage } from './coverage-counts.ts';
import { ROOT, isMeasured } from './coverage-scope.ts';
import { instrument } from './instrument.ts';

const CHANNEL = 'x0t-coverage';
/** A worker that is busy longer than this loses its counts rather than holding up the test. */
const FLUSH_WAIT_MS_MAX = 500;
const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

const target = join(
  process.env['X0T_COVERAGE_DIR'] ?? join(ROOT, '.nyc_output'),
  `${process.pid}-${threadId}-${process.hrtime.bigint()}.json`,
);

registerHooks({
  load(url, context, nextLoad) {
    if (!url.startsWith('file:') || url.includes('?')) return nextLoad(url, context);
    const path = fileURLToPath(url);
    if (!isMeasured(path)) return nextLoad(url, context);
    return { format: 'module', source: instrument(path), shortCircuit: true };
  },
});

/** Overwrites this thread's file, so that a later call holds all that an earlier one held. */
function write(): void {
  const { __coverage__: coverage } = globalThis as { __coverage__?: Coverage };
  if (coverage === undefined) return;
  mkdirSync(join(target, '..'), { recursive: true });
  writeFileSync(`${target}.part`, JSON.stringify(countsOf(coverage)));
  renameSync(`${target}.part`, target);
}

/** Ends the process as the signal would have, unless the program handles the signal itself. */
function onSignal(signal: NodeJS.Signals): void {
  write();
  if (process.listenerCount(signal) > 1) return;
  process.removeListener(signal, onSignal);
  process.kill(process.pid, signal);
}

function answerFlushes(): void {
  const channel = new BroadcastChannel(CHANNEL);
  channel.onmessage = (event: { readonly data: unknown }) => {
    if (event.data !== `flush ${threadId}`) return;
    write();
    channel.postMessage(`done ${threadId}`);
  };
  (channel as unknown as { unref(): void }).unref();
}

function flushed(thread: number): Promise<void> {
  return new Promise((resolve) => {
    const channel = new BroadcastChannel(CHANNEL);
    const end = (): void => {
      clearTimeout(timer);
      channel.close();
      resolve();
    };
    const timer = setTimeout(end, FLUSH_WAIT_MS_MAX);
    channel.onmessage = (event: { readonly data: unknown }) => {
      if (event.data === `done ${thread}`) end();
    };
    channel.postMessage(`flush ${thread}`);
  });
}

process.on('exit', write);
if (isMainThread) for (const signal of SIGNALS) process.on(signal, onSignal);
else answerFlushes();

// oxlint-disable-next-line typescript/unbound-method -- called on the worker
const { terminate } = Worker.prototype;
Worker.prototype.terminate = async function terminateAfterFlush(this: Worker): Promise<number> {
  if (this.threadId > 0) await flushed(this.threadId);
  return terminate.call(this);
};
