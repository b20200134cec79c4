/** Small file systems of their own on loop devices: to be filled, and to break. Needs root. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const MB = 1024 * 1024;

function run(program: string, ...args: string[]): string {
  return execFileSync(program, args, { stdio: 'pipe', encoding: 'utf8' });
}

/** Why such file systems cannot be made here, or undefined. */
export function reasonToSkip(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root, to mount file systems';
  try {
    new SmallDisk(8).remove();
    return undefined;
  } catch {
    return 'needs ext4, its tools and loop devices';
  }
}

/** An ext4 file system in a file. */
export class SmallDisk {
  /** Where it is mounted. */
  readonly path: string;
  readonly #base: string;
  readonly #image: string;
  readonly #hasPlate: boolean;

  /**
   * Of `size_MB`. With `plate_MB` its image lies in a file system in memory of only that size: when
   * that is full, writing to the disk fails as writing to a broken one does.
   */
  constructor(size_MB: number, plate_MB?: number) {
    this.#base = mkdtempSync(join(tmpdir(), 'x0t-disk-'));
    this.path = join(this.#base, 'disk');
    this.#hasPlate = plate_MB !== undefined;
    const plate = join(this.#base, 'plate');
    mkdirSync(this.path);
    mkdirSync(plate);
    this.#image = join(plate, 'image');
    try {
      if (plate_MB !== undefined) {
        run('mount', '-t', 'tmpfs', '-o', `size=${plate_MB}m`, 'x0t-test', plate);
      }
      writeFileSync(this.#image, '');
      truncateSync(this.#image, size_MB * MB);
      run('mkfs.ext4', '-q', '-m', '0', this.#image);
      this.#mount();
    } catch (error) {
      this.remove();
      throw error;
    }
  }

  #mount(): void {
    run('mount', '-o', 'loop,errors=remount-ro', this.#image, this.path);
  }

  /** Gives a disk that broke its room, checks it as a boot does, and mounts it again. */
  repair(): void {
    run('umount', this.path);
    run('mount', '-o', 'remount,size=256m', join(this.#base, 'plate'));
    try {
      run('e2fsck', '-p', this.#image);
    } catch (error) {
      // 1: it found something and mended it
      if ((error as { status?: number }).status !== 1) throw error;
    }
    this.#mount();
  }

  /** Unmounts what is mounted and removes all of it. */
  remove(): void {
    const mounts = [this.path, ...(this.#hasPlate ? [join(this.#base, 'plate')] : [])];
    for (const mount of mounts) {
      try {
        run('umount', mount);
      } catch {
        // it was not mounted
      }
    }
    rmSync(this.#base, { recursive: true, force: true });
  }
}
