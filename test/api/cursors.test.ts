import test from 'ava';
import { codeOf } from '#ledger/errors.ts';
import { CURSOR_CHARS, Cursors } from '#node/api/cursors.ts';
import { KEY_BYTES_MAX } from '#projections/kv.ts';

/** A cursor leads on and tells nothing. */

test('a cursor is opened by who made it, for the same prefix, and shows no key', (t) => {
  const cursors = new Cursors();
  t.true(CURSOR_CHARS > KEY_BYTES_MAX, 'none is a key');
  for (const key of ['app/one', 'secret/ä', 'x'.repeat(KEY_BYTES_MAX)]) {
    const sealed = cursors.seal(key, 's');
    t.is(sealed.length, CURSOR_CHARS);
    t.is(cursors.open(sealed, 's'), key);
    t.false(Buffer.from(sealed, 'base64url').includes(key));
    const wrong = [
      () => cursors.open(sealed, 'se'),
      () => new Cursors().open(sealed, 's'),
      () => cursors.open(`${sealed[0] === 'A' ? 'B' : 'A'}${sealed.slice(1)}`, 's'),
      () => cursors.open('', 's'),
      () => cursors.open('A'.repeat(CURSOR_CHARS), 's'),
    ];
    for (const open of wrong) t.is(codeOf(t.throws(open)), 'cursor_unknown');
  }
});
