// A pickle of protocol 2, written front to back. Names and strings are memoised, as Python does; containers are not, since nothing
// here refers to one twice. Source: Python's pickletools.py.

type Write = () => void;

const BATCH = 1000; // items under one mark, as Python's pickler has it

export class PickleOutput {
  #bytes: Buffer = Buffer.alloc(1 << 12);
  #length = 0;
  /** What was written before and under which number it can be had again. */
  readonly #memo = new Map<string, number>();

  constructor() {
    this.#put(0x80, 2);
  }

  /** Ends the pickle. */
  finish(): Uint8Array<ArrayBuffer> {
    this.#put(0x2e);
    return Uint8Array.from(this.#bytes.subarray(0, this.#length));
  }

  /** None, bool, int (whole numbers), float (others, and -0), str. */
  scalar(value: null | boolean | number | bigint | string): void {
    if (value === null) this.#put(0x4e);
    else if (typeof value === 'boolean') this.#put(value ? 0x88 : 0x89);
    else if (typeof value === 'string') this.#string(value);
    else if (typeof value === 'bigint') this.#integer(value);
    else if (Number.isSafeInteger(value) && !Object.is(value, -0)) this.#integer(BigInt(value));
    else this.#float(value);
  }

  /** A class or function by name. */
  global(module: string, name: string): void {
    this.#memoised(`c${module} ${name}`, () => this.#text(0x63, `${module}\n${name}\n`));
  }

  /** The result of module.name(...args). */
  call(module: string, name: string, args: readonly Write[]): void {
    this.global(module, name);
    this.tuple(args);
    this.#put(0x52);
  }

  /** Turns the tuple on top of the stack into what it names. */
  persistentId(): void {
    this.#put(0x51);
  }

  tuple(items: readonly Write[]): void {
    const short = [0x29, 0x85, 0x86, 0x87][items.length];
    if (short === undefined) this.#put(0x28);
    for (const write of items) write();
    this.#put(short ?? 0x74);
  }

  list(items: readonly Write[]): void {
    this.#put(0x5d);
    this.#batches(items, 0x65);
  }

  emptyDict(): void {
    this.#put(0x7d);
  }

  /** Adds to the dict on top of the stack; each item writes a key and a value. */
  setItems(items: readonly Write[]): void {
    this.#batches(items, 0x75);
  }

  #batches(items: readonly Write[], end: number): void {
    for (let at = 0; at < items.length; at += BATCH) {
      this.#put(0x28);
      for (const write of items.slice(at, at + BATCH)) write();
      this.#put(end);
    }
  }

  #memoised(key: string, write: Write): void {
    const known = this.#memo.get(key);
    const number = known ?? this.#memo.size;
    const [short, long] = known === undefined ? [0x71, 0x72] : [0x68, 0x6a];
    if (known === undefined) write();
    if (number < 256) this.#put(short, number);
    else this.#int32(long, number);
    this.#memo.set(key, number);
  }

  #string(value: string): void {
    this.#memoised(`s${value}`, () => {
      this.#int32(0x58, Buffer.byteLength(value));
      this.#append(Buffer.from(value));
    });
  }

  #integer(value: bigint): void {
    if (value >= 0n && value < 256n) this.#put(0x4b, Number(value));
    else if (value >= 0n && value < 65536n) this.#put(0x4d, Number(value) & 255, Number(value) >> 8);
    else if (value === BigInt.asIntN(32, value)) this.#int32(0x4a, Number(value));
    else this.#long(value);
  }

  /** LONG1: two's complement, little-endian. */
  #long(value: bigint): void {
    let width = 8;
    while (BigInt.asIntN(8 * width, value) !== value) width += 1;
    const hex = BigInt.asUintN(8 * width, value)
      .toString(16)
      .padStart(2 * width, '0');
    this.#put(0x8a, width);
    this.#append(Buffer.from(hex, 'hex').reverse());
  }

  #float(value: number): void {
    const bytes = Buffer.alloc(9, 0x47);
    bytes.writeDoubleBE(value, 1);
    this.#append(bytes);
  }

  #int32(code: number, value: number): void {
    const bytes = Buffer.alloc(5, code);
    bytes.writeInt32LE(value, 1);
    this.#append(bytes);
  }

  #text(code: number, text: string): void {
    this.#put(code);
    this.#append(Buffer.from(text));
  }

  #put(...bytes: number[]): void {
    this.#append(Uint8Array.from(bytes));
  }

  #append(bytes: Uint8Array): void {
    if (this.#length + bytes.length > this.#bytes.length) {
      this.#bytes = Buffer.concat([this.#bytes, Buffer.alloc(this.#bytes.length + bytes.length)]);
    }
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }
}
