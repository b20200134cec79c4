import { Presets, SingleBar } from 'cli-progress';

/** A progress bar on stderr; it shows nothing where stderr is no terminal. */
export interface Progress {
  /** `total` may grow. */
  readonly set: (done: number, total: number) => void;
  readonly stop: () => void;
}

const REDRAWS_PER_S = 8;

/** `what` names the work, `unit` what is counted, such as `events`. */
export function startProgress(what: string, unit: string): Progress {
  if (!process.stderr.isTTY) return { set: () => undefined, stop: () => undefined };
  const counts = `{percentage}% {value}/{total} ${unit} {rate}/s, {eta_formatted} left`;
  const format = `${what} [{bar}] ${counts}`;
  const bar = new SingleBar(
    { format, stream: process.stderr, clearOnComplete: true, hideCursor: true, fps: REDRAWS_PER_S },
    Presets.shades_classic,
  );
  const started_ms = performance.now();
  bar.start(0, 0, { rate: 0 });
  return {
    set: (done, total) => {
      bar.setTotal(total);
      const rate = Math.round(done / Math.max(0.001, (performance.now() - started_ms) / 1000));
      bar.update(done, { rate });
    },
    stop: () => bar.stop(),
  };
}
