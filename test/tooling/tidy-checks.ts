/**
 * Applies `tidy-rules.ts` to the text of one file. Every finding names its line and what to write
 * instead.
 */
import { basename, dirname, posix } from 'node:path';
import { blankComments, importsOf, lineAt, type Import } from './source-text.ts';
import {
  BANNED, COLUMNS_MAX, IMPORTS, LINES_MAX, UNFINISHED, type ImportRule,
} from './tidy-rules.ts';

export interface Finding {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

/** `file` is relative to the project's root, with `/`. */
type Check = (file: string, text: string) => Finding[];

const topFolder = (file: string): string => file.split('/')[0] ?? '';

export const checkImports: Check = (file, text) => {
  const rule = IMPORTS[topFolder(file)];
  if (rule === undefined) return [];
  return importsOf(text).flatMap((imported) => {
    const message = objection(file, imported, rule);
    return message === undefined ? [] : [{ file, line: imported.line, message }];
  });
};

function objection(file: string, imported: Import, rule: ImportRule): string | undefined {
  const { specifier } = imported;
  if (specifier.startsWith('.')) return objectionToPath(file, specifier);
  if (specifier.startsWith('#')) return objectionToFolder(file, specifier, rule);
  return objectionToPackage(topFolder(file), imported, rule);
}

function objectionToPath(file: string, specifier: string): string | undefined {
  if (!/\.(ts|js|json)$/.test(specifier)) return `'${specifier}': write the file's ending, .ts`;
  if (specifier === `./${basename(specifier)}`) return undefined;
  const target = posix.join(dirname(file), specifier);
  return `'${specifier}': write '#${target}' for a file of another folder`;
}

function objectionToFolder(file: string, specifier: string, rule: ImportRule): string | undefined {
  const own = topFolder(file);
  if (rule.aliases?.includes(specifier)) return undefined;
  const target = specifier.slice(1);
  const folder = topFolder(target);
  const rest = target.slice(folder.length + 1);
  if (!/\.(ts|js|json)$/.test(specifier)) return `'${specifier}': write the file's ending, .ts`;
  if (dirname(target) === dirname(file)) return `'${specifier}': write './${basename(target)}'`;
  if (folder === own) return undefined;
  if (!rule.folders.includes(folder)) {
    const allowed = rule.folders.map((name) => `#${name}/`).join(', ') || 'no other folder';
    return `${own}/ may not import ${folder}/: it may import ${allowed}; `
      + 'declare the interface it needs and let node/ pass the thing in';
  }
  const files = rule.onlyFiles?.[folder];
  if (files === undefined || files.includes(rest)) return undefined;
  return `${own}/ may import only ${files.join(', ')} of ${folder}/, not ${rest}`;
}

function objectionToPackage(own: string, imported: Import, rule: ImportRule): string | undefined {
  const { specifier, names } = imported;
  const allowed = rule.packages.find((name) => name === '*'
    || (name === 'node:*' && specifier.startsWith('node:'))
    || specifier === name || specifier.startsWith(`${name}/`));
  if (allowed === undefined) {
    return `${own}/ may not import '${specifier}': it may import ${rule.packages.join(', ')}; `
      + 'what is impure goes behind a port of #ledger/ports.ts';
  }
  const only = rule.onlyNames?.[allowed];
  const wrong = only === undefined ? undefined : names.find((name) => !only.includes(name));
  if (only === undefined || (wrong === undefined && names.length > 0)) return undefined;
  return `${own}/ may import only { ${only.join(', ')} } from '${specifier}', `
    + `not ${wrong ?? 'the whole module'}`;
}

export const checkBanned: Check = (file, text) => {
  const banned = BANNED.filter(({ folders }) => folders.includes(topFolder(file)));
  return blankComments(text).split('\n').flatMap((line, index) => banned
    .filter(({ pattern }) => pattern.test(line))
    .map(({ name, instead }) => ({
      file, line: index + 1, message: `${name} in ${topFolder(file)}/: ${instead}`,
    })));
};

export const checkShape: Check = (file, text) => {
  const lines = text.replace(/\n$/, '').split('\n');
  const wide = lines.flatMap((line, index) => (line.length <= COLUMNS_MAX ? [] : [{
    file,
    line: index + 1,
    message: `${line.length} columns: break the line at ${COLUMNS_MAX} or before`,
  }]));
  if (lines.length <= LINES_MAX) return wide;
  const message = `${lines.length} lines: split the file by noun; ${LINES_MAX} is the limit`;
  return [...wide, { file, line: LINES_MAX + 1, message }];
};

export const checkUnfinished: Check = (file, text) => text.split('\n').flatMap((line, index) => {
  const mark = UNFINISHED.exec(line)?.[0];
  return mark === undefined ? [] : [{
    file,
    line: index + 1,
    message: `${mark}: finish it, or say under "Out of scope" in a document that it is not there`,
  }];
});

/** Headings inside fenced blocks are text. */
export const checkMarkdown: Check = (file, text) => {
  const prose = text.replace(/^(```|~~~)[\s\S]*?^\1/gm, (fence) => fence.replace(/[^\n]/g, ' '));
  const heads = [...prose.matchAll(/^# /gm)].map((match) => lineAt(prose, match.index));
  if (heads.length === 1) return [];
  const message = heads.length === 0
    ? 'no H1: start the document with one line `# Title`'
    : `${heads.length} H1 headings: keep the first, write the others as \`##\``;
  return [{ file, line: heads[1] ?? 1, message }];
};
