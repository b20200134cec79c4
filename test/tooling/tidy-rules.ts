/**
 * The rules of the code's shape as data. `tidy-checks.ts` applies them; `test/tidy.test.ts` runs
 * them on every file.
 */

export interface ImportRule {
  /** Folders whose files may be imported, besides the own one. */
  readonly folders: readonly string[];
  /** Where only some files of another folder may be imported. */
  readonly onlyFiles?: Readonly<Record<string, readonly string[]>>;
  /** Packages by name, subpaths included; `node:*` is Node's own; `*` is any. */
  readonly packages: readonly string[];
  /** Names of `imports` in package.json that are single files. */
  readonly aliases?: readonly string[];
  /** Where only some names of a package may be imported. */
  readonly onlyNames?: Readonly<Record<string, readonly string[]>>;
}

/** Codecs and hashes that read no clock, file, socket or entropy. */
const PURE: Pick<ImportRule, 'packages' | 'onlyNames'> = {
  packages: ['@ipld/dag-cbor', 'cborg', 'multiformats', 'typebox', 'node:crypto'],
  onlyNames: { 'node:crypto': ['hash'] },
};

const PRODUCT = ['ledger', 'p2p', 'native', 'projections', 'governance'] as const;

/**
 * Who may import whom. Adapters never import each other; `deploy/` imports no code of the project.
 */
export const IMPORTS: Readonly<Record<string, ImportRule>> = {
  ledger: { folders: [], ...PURE },
  // a pure implementation: whether a libp2p key vouches for a member is the same everywhere
  projections: { folders: ['ledger'], ...PURE, packages: [...PURE.packages, '@noble/curves'] },
  governance: { folders: ['ledger'], ...PURE },
  native: {
    folders: ['ledger'],
    onlyFiles: { ledger: ['ports.ts', 'errors.ts', 'limits.ts'] },
    packages: ['*'],
  },
  p2p: { folders: ['ledger'], packages: ['*'] },
  node: { folders: PRODUCT, aliases: ['#manifest'], packages: ['*'] },
  deploy: { folders: [], packages: ['node:*'] },
  test: { folders: [...PRODUCT, 'node', 'bench', 'deploy'], packages: ['*'] },
  bench: { folders: [...PRODUCT, 'node', 'test'], packages: ['*'] },
};

export interface BannedToken {
  readonly pattern: RegExp;
  readonly name: string;
  readonly instead: string;
  readonly folders: readonly string[];
}

const PURE_FOLDERS = ['ledger', 'projections', 'governance'];
const clock = 'take `Clock` of #ledger/ports.ts as a parameter, or the time as a value';
const entropy = 'take `Entropy` of #ledger/ports.ts as a parameter';
const effect = 'return the decision and let node/ act on it';
const config = 'read it in node/ and pass the value as an option';

/** Looked for outside comments. */
export const BANNED: readonly BannedToken[] = [
  { name: 'Date.now', pattern: /\bDate\.now\b/, instead: clock, folders: PURE_FOLDERS },
  { name: 'new Date()', pattern: /\bnew Date\(\s*\)/, instead: clock, folders: PURE_FOLDERS },
  {
    name: 'performance.now',
    pattern: /\bperformance\.now\b/,
    instead: clock,
    folders: PURE_FOLDERS,
  },
  { name: 'setTimeout', pattern: /\bsetTimeout\b/, instead: clock, folders: PURE_FOLDERS },
  { name: 'setInterval', pattern: /\bsetInterval\b/, instead: clock, folders: PURE_FOLDERS },
  { name: 'Math.random', pattern: /\bMath\.random\b/, instead: entropy, folders: PURE_FOLDERS },
  { name: 'process', pattern: /(?<![\w.])process\./, instead: effect, folders: PURE_FOLDERS },
  {
    name: 'process.env',
    pattern: /\bprocess\.env\b|\benv\b[^;]*\bfrom 'node:process'/,
    instead: config,
    folders: ['p2p', 'native', 'bench', 'deploy'],
  },
];

/** Words that mark unfinished work, in code and documents. */
export const UNFINISHED = /\b(?:FIX(?:ME)|TO(?:DO)|X{3}|HAC(?:K))\b/;

/** A file above this is two files (`STYLE.md`: aim for 80-150). */
export const LINES_MAX = 500;
export const COLUMNS_MAX = 100;

/** Folders that are looked at, with their own files and all below. */
export const FOLDERS = [...Object.keys(IMPORTS), 'docs', '.ci'];
/** Endings of files whose length, columns and unfinished marks are checked. */
export const CODE_ENDINGS = ['.ts', '.js', '.mjs', '.c', '.h', '.css', '.html', '.sh'];
export const SCRIPT_ENDINGS = ['.ts', '.js', '.mjs'];
/** Not written by hand, or not ours. */
export const SKIPPED_FOLDERS = ['node_modules', '.git', 'coverage', '.nyc_output', 'data'];
