/**
 * Text of others on a terminal: it may hold sequences that write the clipboard, rename the window
 * or answer as if keys were pressed (ECMA-48, C0 and C1), and marks that show it in another order
 * than it has (Unicode, `Bidi_Control`).
 */
const CONTROLS = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu;
const CODE_DIGITS = 4;

/** With controls written as they are in a string of JavaScript; lines and tabs stay. */
export function printable(text: string): string {
  return text.replace(CONTROLS, (one) => (one === '\n' || one === '\t' ? one : escaped(one)));
}

/** The same for what has to stay in its line. */
export function inLine(text: string): string {
  return text.replace(CONTROLS, escaped);
}

/** One word for a POSIX shell, which finds nothing in it to carry out. */
export function shellWord(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** Bytes for a terminal: what is no UTF-8 becomes replacement characters. */
export function printableBytes(bytes: Uint8Array): { text: string; isWhole: boolean } {
  const { buffer, byteOffset, byteLength } = bytes;
  const value = Buffer.from(buffer, byteOffset, byteLength);
  const text = printable(value.toString('utf8'));
  return { text, isWhole: Buffer.from(text).equals(value) };
}

function escaped(one: string): string {
  return `\\u${one.charCodeAt(0).toString(16).padStart(CODE_DIGITS, '0')}`;
}
