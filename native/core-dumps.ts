import { createRequire } from 'node:module';
import type * as Koffi from 'koffi';

/** `RLIMIT_CORE` of Linux (`asm-generic/resource.h`). */
const RLIMIT_CORE = 4;
/** Of Linux (`linux/prctl.h`). */
const PR_SET_DUMPABLE = 4;

/**
 * A crash of this process leaves no image of its memory, in which keys are (setrlimit(2)); children
 * inherit it. Returns false where that cannot be done: not Linux, or no library to ask.
 */
export function forbidCoreDumps(): boolean {
  if (process.platform !== 'linux') return false;
  try {
    // not imported: where its binary does not load, the process goes on
    const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi;
    // whichever C library the process has loaded
    const libc = koffi.load(null);
    const setrlimit = libc.func('int setrlimit(int resource, const uint64_t *limits)');
    // a handler of the kernel's core_pattern gets no image either (prctl(2))
    const prctl = libc.func('int prctl(int option, unsigned long value)');
    const isUndumpable = prctl(PR_SET_DUMPABLE, 0) === 0;
    return setrlimit(RLIMIT_CORE, new BigUint64Array(2)) === 0 && isUndumpable;
  } catch {
    return false;
  }
}
