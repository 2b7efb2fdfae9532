/** Finds an id that occurs twice, in 20 bytes of memory a row. */
import { createHash } from "node:crypto";

export class PromptIds {
  readonly #idOf: (place: number) => string;
  /** First 8 bytes of each id's SHA-256, two words a place; and hash table of places + 1, 0: free. */
  #hashes = new Uint32Array(2 * 1024);
  #table = new Uint32Array(2 * 1024);
  #count = 0;

  /** @param idOf the id that was added as number `place`, asked only where two hashes are the same */
  constructor(idOf: (place: number) => string) {
    this.#idOf = idOf;
  }

  /** Adds an id as the next one, unless it is there. @returns the place it has already, or null */
  add(id: string): number | null {
    if (2 * this.#count >= this.#table.length) this.#grow();
    const digest = createHash("sha256").update(id).digest();
    const [high, low] = [digest.readUInt32LE(0), digest.readUInt32LE(4)];
    const mask = this.#table.length - 1;
    let slot = low & mask;
    for (; this.#table[slot] !== 0; slot = (slot + 1) & mask) {
      const place = this.#table[slot]! - 1;
      const same = this.#hashes[2 * place] === high && this.#hashes[2 * place + 1] === low;
      if (same && this.#idOf(place) === id) return place;
    }
    this.#hashes[2 * this.#count] = high;
    this.#hashes[2 * this.#count + 1] = low;
    this.#table[slot] = ++this.#count;
    return null;
  }

  #grow(): void {
    const hashes = new Uint32Array(2 * this.#hashes.length);
    hashes.set(this.#hashes);
    this.#hashes = hashes;
    this.#table = new Uint32Array(2 * this.#table.length);
    const mask = this.#table.length - 1;
    for (let place = 0; place < this.#count; place++) {
      let slot = hashes[2 * place + 1]! & mask;
      while (this.#table[slot] !== 0) slot = (slot + 1) & mask;
      this.#table[slot] = place + 1;
    }
  }
}
