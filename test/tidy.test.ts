import test from 'ava';
import { projectFiles } from '#test/tooling/project-files.ts';
import {
  checkBanned, checkImports, checkMarkdown, checkShape, checkUnfinished, type Finding,
} from '#test/tooling/tidy-checks.ts';
import { CODE_ENDINGS, SCRIPT_ENDINGS } from '#test/tooling/tidy-rules.ts';

type Check = (file: string, text: string) => Finding[];

interface Rule {
  readonly title: string;
  readonly endings: readonly string[];
  readonly check: Check;
}

const RULES: readonly Rule[] = [
  { title: 'imports follow the table', endings: SCRIPT_ENDINGS, check: checkImports },
  { title: 'pure folders stay pure', endings: SCRIPT_ENDINGS, check: checkBanned },
  { title: 'files and lines are short', endings: CODE_ENDINGS, check: checkShape },
  {
    title: 'nothing is left unfinished',
    endings: [...CODE_ENDINGS, '.md'],
    check: checkUnfinished,
  },
  { title: 'a document has one H1', endings: ['.md'], check: checkMarkdown },
];

for (const { title, endings, check } of RULES) {
  test(title, (t) => {
    const files = projectFiles(endings);
    t.true(files.length > 0);
    const findings = files.flatMap(({ file, text }) => check(file, text));
    t.is(findings.length, 0, report(findings));
  });
}

function report(findings: readonly Finding[]): string {
  return findings.map(({ file, line, message }) => `\n${file}:${line}: ${message}`).join('');
}
