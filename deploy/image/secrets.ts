/**
 * Looks for secrets in what goes into an image: few patterns that are hardly ever anything else.
 * gitleaks, where it is installed, looks for many more (`checks.ts`).
 */
import type { ContentFile } from './content.ts';

const PATTERNS: readonly (readonly [what: string, pattern: RegExp])[] = [
  // a whole block: code that names its first line is no key
  ['a private key', /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\r?\n[A-Za-z0-9+/=]{32}/],
  ['a token of a package registry', /\bnpm_[A-Za-z0-9]{36}\b|:_authToken\s*=\s*[^\s$]{8}/],
  ['a token of a code host', /\bgh[opsur]_[A-Za-z0-9]{36}\b|\bgithub_pat_[A-Za-z0-9_]{50}/],
  ["a cloud's access key", /\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/],
  [
    'a password in an address',
    /\b[a-z][a-z0-9+]{1,9}:\/\/[^\s/:@'"`${}]{1,64}:[^\s/:@'"`${}]{6,64}@/,
  ],
];
/** Files that keys of this program have, whatever is in them. */
const KEY_FILE = /\.key$|(?:^|\/)\.(?:npmrc|env)$/;

export interface Secret {
  readonly path: string;
  readonly line: number;
  readonly what: string;
}

export function findSecrets(files: readonly Pick<ContentFile, 'path' | 'bytes'>[]): Secret[] {
  return files.flatMap(({ path, bytes }) => {
    const named = KEY_FILE.test(path) ? [{ path, line: 1, what: 'a file of keys' }] : [];
    const text = bytes.toString('utf8');
    const found = PATTERNS.flatMap(([what, pattern]) => {
      const hit = pattern.exec(text);
      return hit ? [{ path, line: text.slice(0, hit.index).split('\n').length, what }] : [];
    });
    return [...named, ...found];
  });
}
