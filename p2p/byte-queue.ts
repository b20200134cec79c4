/** Bytes that arrived in pieces, read out in others; each byte is copied once. */
export class ByteQueue {
  readonly #pieces: Uint8Array[] = [];
  /** Read position in the first piece. */
  #offset = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  append(piece: Uint8Array): void {
    if (piece.byteLength === 0) return;
    this.#pieces.push(piece);
    this.#length += piece.byteLength;
  }

  /** Copies the first `count` bytes (at most `length`) without removing them. */
  peek(count: number): Uint8Array {
    const out = new Uint8Array(count);
    let at = 0;
    let offset = this.#offset;
    for (const piece of this.#pieces) {
      if (at >= count) break;
      const part = piece.subarray(offset, offset + count - at);
      out.set(part, at);
      at += part.byteLength;
      offset = 0;
    }
    return out;
  }

  /** Removes the first `count` bytes (at most `length`). */
  skip(count: number): void {
    this.#length -= count;
    this.#offset += count;
    let first = this.#pieces[0];
    while (first !== undefined && this.#offset >= first.byteLength) {
      this.#offset -= first.byteLength;
      this.#pieces.shift();
      first = this.#pieces[0];
    }
  }
}
