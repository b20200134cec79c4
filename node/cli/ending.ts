/** What a command has opened, and what would keep its process running once it is done. */
const closers: (() => void)[] = [];

/** `close` is called when the command has ended, well or not. */
export function whenEnded(close: () => void): void {
  closers.push(close);
}

export function closeAll(): void {
  for (const close of closers.splice(0)) close();
}
