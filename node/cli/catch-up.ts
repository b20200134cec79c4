import type { Node } from '#node/node.ts';
import { startProgress } from './progress.ts';
import type { Progress } from './progress.ts';

const LOOK_MS = 500;

/**
 * Shows on a terminal's stderr what a running node fetches and how much of how much, as long as it
 * is behind. The returned function ends it.
 */
export function watchCatchUp({ core }: Pick<Node, 'core'>): () => void {
  let bar: (Progress & { readonly what: string }) | undefined;
  const show = (what: string, unit: string, done: number, total: number): void => {
    if (bar?.what !== what) {
      bar?.stop();
      bar = { ...startProgress(what, unit), what };
    }
    bar.set(done, total);
  };
  const timer = setInterval(() => {
    const { isRunning, target, snapshot } = core.antiEntropy.catchUp;
    if (snapshot) show('snapshot', 'bytes', snapshot.done_bytes, snapshot.total_bytes);
    else if (isRunning) show('commits', 'commits', core.replica.orderer.state.last.index, target);
    else {
      bar?.stop();
      bar = undefined;
    }
  }, LOOK_MS);
  return () => {
    clearInterval(timer);
    bar?.stop();
  };
}
