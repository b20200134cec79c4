/**
 * What goes into an image, and the tag that follows from it. `Dockerfile.dockerignore` lists the
 * files; the tag is a hash over them, the Dockerfile, the base's digest and the epoch of all times,
 * so equal tags are equal inputs, and a tag never moves.
 */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** All times in the image, seconds since the Unix epoch: the first second of 2026, UTC. */
export const EPOCH_S = 1_767_225_600;
/** Hex digits of a tag: 64 bits tell any two trees of one project apart. */
const TAG_DIGITS = 16;

export const DOCKERFILE = 'deploy/Dockerfile';

export interface ContentFile {
  /** Relative to the root, with `/`. */
  readonly path: string;
  readonly bytes: Buffer;
  readonly isExecutable: boolean;
}

/** The files of the image, sorted by path. */
export function contentFiles(root: string): ContentFile[] {
  return listed(root)
    .flatMap((entry) => filesAt(root, entry))
    .toSorted()
    .map((path) => {
      const isExecutable = (statSync(join(root, path)).mode & 0o100) !== 0;
      return { path, bytes: readFileSync(join(root, path)), isExecutable };
    });
}

function listed(root: string): string[] {
  const lines = readFileSync(join(root, `${DOCKERFILE}.dockerignore`), 'utf8').split('\n');
  return lines.filter((line) => line.startsWith('!')).map((line) => line.slice(1));
}

function filesAt(root: string, entry: string): string[] {
  if (statSync(join(root, entry)).isFile()) return [entry];
  return readdirSync(join(root, entry), { withFileTypes: true })
    .filter((one) => one.isDirectory() || one.isFile())
    .flatMap((one) => filesAt(root, `${entry}/${one.name}`));
}

/** The tag over everything that the image follows from. */
export function contentTag(root: string, files: readonly ContentFile[], base: string): string {
  const digest = /@(sha256:[0-9a-f]{64})$/.exec(base)?.[1];
  if (digest === undefined) throw new Error(`${base}: the base is named with its digest`);
  const hash = createHash('sha256');
  const dockerfile = readFileSync(join(root, DOCKERFILE));
  hash.update(`base ${digest}\nepoch ${EPOCH_S}\n${DOCKERFILE} ${sha256(dockerfile)}\n`);
  for (const { path, bytes, isExecutable } of files) {
    hash.update(`${isExecutable ? 'x' : '-'} ${sha256(bytes)} ${path}\n`);
  }
  return hash.digest('hex').slice(0, TAG_DIGITS);
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Copies the files into an empty folder, with modes that no umask has a say in. */
export function stage(files: readonly ContentFile[], folder: string): void {
  for (const { path, bytes, isExecutable } of files) {
    const file = join(folder, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, bytes);
    chmodSync(file, isExecutable ? 0o755 : 0o644);
  }
  for (const one of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (one.isDirectory()) chmodSync(join(one.parentPath, one.name), 0o755);
  }
  chmodSync(folder, 0o755);
}
