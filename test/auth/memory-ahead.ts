import { AheadMarks } from '#node/auth/ahead-marks.ts';
import type { AheadFile, AheadParts } from '#node/auth/ahead-marks.ts';

/** A file that outlives the checks that it is given to. */
export function memoryFile(): AheadFile & { text: string | undefined; writes: number } {
  const file = {
    text: undefined as string | undefined,
    writes: 0,
    read: async () => file.text,
    write: async (text: string) => {
      file.writes += 1;
      file.text = text;
    },
  };
  return file;
}

const log: AheadParts['log'] = { warn: () => undefined };

export function memoryAhead(clock: AheadParts['clock'], file = memoryFile()): Promise<AheadMarks> {
  return AheadMarks.open({ file, clock, log });
}
