// The pickle machine, protocols 0 to 5, with nothing behind it: names are looked up in an allow-list, calls go to our own
// functions, and opcodes that build arbitrary objects are refused. Source: Python's pickletools.py. Runs iteratively, so
// deep nesting cannot overflow the stack; shared references stay shared.

import { DataError } from '../../util/errors.ts';
import type { PickleInput } from './pickle-input.ts';
import { Global, type PyDict, PyTuple, type PyValue, TorchTensor } from './values.ts';

/** What a pickle may refer to. Each function throws DataError for what it does not allow. */
export interface PickleWorld {
  global(module: string, name: string): PyValue;
  call(target: Global, args: readonly PyValue[]): PyValue;
  persistent(id: PyValue): PyValue;
}

const MAX_LONG = 1024; // bytes of an integer

/** Run one pickle up to its STOP. */
export function unpickle(input: PickleInput, world: PickleWorld): PyValue {
  return new Machine(input, world).run();
}

class Machine {
  readonly #input: PickleInput;
  readonly #world: PickleWorld;
  readonly #memo = new Map<number, PyValue>();
  readonly #marks: number[] = [];
  #stack: PyValue[] = [];

  constructor(input: PickleInput, world: PickleWorld) {
    this.#input = input;
    this.#world = world;
  }

  run(): PyValue {
    for (;;) {
      const code = this.#input.byte();
      if (code === 0x2e) return this.#pop(); // STOP
      const operation = TABLE[code];
      if (operation === undefined) {
        throw this.error(
          `expected a pickle opcode, received ${REFUSED[code] ?? `0x${code.toString(16).padStart(2, '0')}`}`,
        );
      }
      operation(this, this.#input);
    }
  }

  error(what: string): DataError {
    return new DataError(`${this.#input.name}: ${what} (pickle byte ${this.#input.position - 1}).`);
  }

  push(value: PyValue): void {
    this.#stack.push(value);
  }

  #pop(): PyValue {
    const floor = this.#marks.at(-1) ?? 0;
    if (this.#stack.length <= floor) throw this.error('expected a value, received an empty stack');
    return this.#stack.pop() as PyValue;
  }

  pop(): PyValue {
    return this.#pop();
  }

  top(): PyValue {
    const floor = this.#marks.at(-1) ?? 0;
    if (this.#stack.length <= floor) throw this.error('expected a value, received an empty stack');
    return this.#stack.at(-1) as PyValue;
  }

  mark(): void {
    this.#marks.push(this.#stack.length);
  }

  popMark(): PyValue[] {
    const from = this.#marks.pop();
    if (from === undefined) throw this.error('expected a mark, found none');
    return this.#stack.splice(from);
  }

  memoize(slot = this.#memo.size): void {
    this.#memo.set(slot, this.top());
  }

  recall(slot: number): void {
    const value = this.#memo.get(slot);
    if (value === undefined) throw this.error(`expected a value in memo slot ${slot}, received none`);
    this.push(value);
  }

  list(): PyValue[] {
    const list = this.top();
    if (!Array.isArray(list)) throw this.error('expected a list to append to, received something else');
    return list;
  }

  dict(): PyDict {
    const dict = this.top();
    if (!(dict instanceof Map)) throw this.error('expected a dict to set items of, received something else');
    return dict;
  }

  setItems(items: readonly PyValue[]): void {
    const dict = this.dict();
    if (items.length % 2 !== 0) throw this.error('expected keys and values in pairs, received an odd number');
    for (let i = 0; i < items.length; i += 2) dict.set(items[i]!, items[i + 1]!);
  }

  global(module: PyValue, name: PyValue): void {
    if (typeof module !== 'string' || typeof name !== 'string')
      throw this.error('expected names of a global, received something else');
    this.push(this.#world.global(module, name));
  }

  call(): void {
    const args = this.pop();
    const target = this.pop();
    if (!(target instanceof Global)) throw this.error('expected an allowed function to call, received a plain value');
    if (!(args instanceof PyTuple)) throw this.error('expected a tuple of arguments, received something else');
    this.push(this.#world.call(target, args.items));
  }

  /** Attributes of state dicts (`_metadata`) and of tensors are dropped; nothing else has any. */
  build(): void {
    const state = this.pop();
    const target = this.top();
    if (
      !(target instanceof Map || target instanceof TorchTensor) ||
      !(state instanceof Map || state instanceof PyTuple)
    ) {
      throw this.error('expected plain attributes of a dict, received BUILD on something else');
    }
  }

  persistent(): void {
    this.push(this.#world.persistent(this.pop()));
  }
}

type Operation = (machine: Machine, input: PickleInput) => void;

const REFUSED: Record<number, string> = {
  105: 'INST, which makes an object of any class: refused',
  111: 'OBJ, which makes an object of any class: refused',
  146: 'NEWOBJ_EX, which makes an object of any class: refused',
  80: 'PERSID: refused',
  130: 'EXT1, a registered extension: refused',
  131: 'EXT2, a registered extension: refused',
  132: 'EXT4, a registered extension: refused',
};

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

const OPERATIONS: Record<number, Operation> = {
  128: (m, input) => {
    const protocol = input.byte();
    if (protocol > 5) throw m.error(`expected pickle protocol 0 to 5, received ${protocol}`);
  },
  149: (_, input) => void input.bytes(8), // FRAME
  // stack
  40: (m) => m.mark(),
  48: (m) => void m.pop(),
  49: (m) => void m.popMark(),
  50: (m) => m.push(m.top()),
  // constants
  78: (m) => m.push(null),
  136: (m) => m.push(true),
  137: (m) => m.push(false),
  // numbers
  73: (m, input) => m.push(textInteger(m, input.line())),
  76: (m, input) => m.push(textInteger(m, input.line().replace(/L$/, ''))),
  74: (m, input) => m.push(input.int32()),
  75: (m, input) => m.push(input.uint(1)),
  77: (m, input) => m.push(input.uint(2)),
  138: (m, input) => m.push(long(m, input, input.uint(1))),
  139: (m, input) => m.push(long(m, input, input.uint(4))),
  70: (m, input) => m.push(Number(input.line())),
  71: (m, input) => m.push(input.float64()),
  // text and bytes
  83: (m, input) => m.push(quoted(m, input.line())),
  84: (m, input) => m.push(latin1(input.bytes(input.uint(4)))),
  85: (m, input) => m.push(latin1(input.bytes(input.uint(1)))),
  86: (m, input) => m.push(input.line()),
  88: (m, input) => m.push(utf8.decode(input.bytes(input.uint(4)))),
  140: (m, input) => m.push(utf8.decode(input.bytes(input.uint(1)))),
  141: (m, input) => m.push(utf8.decode(input.bytes(input.uint(8)))),
  66: (m, input) => m.push(input.bytes(input.uint(4)).slice()),
  67: (m, input) => m.push(input.bytes(input.uint(1)).slice()),
  142: (m, input) => m.push(input.bytes(input.uint(8)).slice()),
  150: (m, input) => m.push(input.bytes(input.uint(8)).slice()),
  // lists, tuples, dicts, sets
  93: (m) => m.push([]),
  108: (m) => m.push(m.popMark()),
  97: (m) => {
    const value = m.pop();
    m.list().push(value);
  },
  101: (m) => {
    const values = m.popMark();
    const list = m.list();
    for (const value of values) list.push(value);
  },
  41: (m) => m.push(new PyTuple([])),
  116: (m) => m.push(new PyTuple(m.popMark())),
  133: (m) => m.push(tuple(m, 1)),
  134: (m) => m.push(tuple(m, 2)),
  135: (m) => m.push(tuple(m, 3)),
  125: (m) => m.push(new Map()),
  100: (m) => {
    const items = m.popMark();
    m.push(new Map());
    m.setItems(items);
  },
  115: (m) => {
    const value = m.pop();
    m.setItems([m.pop(), value]);
  },
  117: (m) => m.setItems(m.popMark()),
  143: (m) => m.push(new Set()),
  144: (m) => {
    const items = m.popMark();
    const set = m.top();
    if (!(set instanceof Set)) throw m.error('expected a set to add to, received something else');
    for (const item of items) set.add(item);
  },
  145: (m) => m.push(new Set(m.popMark())),
  // memo
  103: (m, input) => m.recall(Number(input.line())),
  104: (m, input) => m.recall(input.uint(1)),
  106: (m, input) => m.recall(input.uint(4)),
  112: (m, input) => m.memoize(Number(input.line())),
  113: (m, input) => m.memoize(input.uint(1)),
  114: (m, input) => m.memoize(input.uint(4)),
  148: (m) => m.memoize(),
  // names and calls
  99: (m, input) => m.global(input.line(), input.line()),
  147: (m) => {
    const name = m.pop();
    m.global(m.pop(), name);
  },
  82: (m) => m.call(), // REDUCE
  129: (m) => m.call(), // NEWOBJ
  98: (m) => m.build(),
  81: (m) => m.persistent(),
};

const TABLE = Array.from({ length: 256 }, (_, code) => OPERATIONS[code]); // dense: looked up for every opcode

function tuple(machine: Machine, length: number): PyTuple {
  return new PyTuple(Array.from({ length }, () => machine.pop()).reverse());
}

function long(machine: Machine, input: PickleInput, length: number): number | bigint {
  if (length > MAX_LONG) throw machine.error(`expected integers of at most ${MAX_LONG} bytes, received ${length}`);
  if (length === 0) return 0;
  const hex = Buffer.from(input.bytes(length)).reverse().toString('hex');
  return small(BigInt.asIntN(8 * length, BigInt(`0x${hex}`)));
}

function textInteger(machine: Machine, text: string): PyValue {
  if (text === '00') return false;
  if (text === '01') return true;
  if (!/^-?\d{1,400}$/.test(text)) throw machine.error(`expected an integer, received '${text.slice(0, 20)}'`);
  return small(BigInt(text));
}

function small(value: bigint): number | bigint {
  const plain = Number(value);
  return Number.isSafeInteger(plain) ? plain : value;
}

/** Protocol 0's 'text' with Python escapes: only plain text occurs in torch files. */
function quoted(machine: Machine, text: string): string {
  const inner = /^(['"])([^\\]*)\1$/.exec(text)?.[2];
  if (inner === undefined) throw machine.error('expected a plain quoted string, received one with escapes');
  return inner;
}
