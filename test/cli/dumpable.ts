import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type * as Koffi from 'koffi';

/**
 * Loaded before a command: notes at its end whether the kernel may write an image of it, and with
 * `NO_LIBRARY` lets it load no C library.
 */
const PR_GET_DUMPABLE = 3;
const { DUMPABLE_FILE = '', NO_LIBRARY } = process.env;

// as it is before anybody imports its parts by name
const koffi = createRequire(import.meta.url)('koffi') as { load: typeof Koffi.load };
const { load } = koffi;
if (NO_LIBRARY !== undefined) {
  koffi.load = () => {
    throw new Error('no library');
  };
}
process.on('exit', () => {
  const prctl = load(null).func('int prctl(int option, unsigned long value)');
  writeFileSync(DUMPABLE_FILE, String(prctl(PR_GET_DUMPABLE, 0)));
});
