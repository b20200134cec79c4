/**
 * Named by `NODE_OPTIONS=--import` while coverage is measured, so every child process and worker
 * loads it. Plain JavaScript that does nothing on an older Node, because the launcher's test starts
 * one where the machine has it.
 */
if (Number(process.versions.node.split('.')[0]) >= 26) await import('./coverage-hook.ts');
