// Two files of tensors, compared by name: what only one has, what differs in shape or dtype, and by how much values differ.

import { chooseNetwork, readTensors } from '../inference/tensors.ts';
import { callRaw, dispose, isFloating, type Tensor, tidy } from '../tensor/index.ts';
import { figure, table } from '../util/format.ts';
import { stripWrappers } from '../weights/index.ts';
import { stopIfInterrupted } from './model-options.ts';

export interface Difference {
  name: string;
  /** What differs, in words; for values that do, the largest absolute difference beside it. */
  how: string;
  largest?: number;
}

export interface Comparison {
  equal: boolean;
  /** Tensors with the same bits. */
  same: number;
  onlyA: string[];
  onlyB: string[];
  differences: Difference[];
}

/** Compares the tensors of two files. */
export function compareFiles(a: string, b: string): Comparison {
  const files = [readTensors(a), readTensors(b)] as const;
  try {
    const [left, right] = comparable(...files);
    const common = [...left.keys()].filter((name) => right.has(name));
    const differences = common.flatMap((name) => {
      stopIfInterrupted(() => 'nothing is left behind.');
      return compareTensors(name, left.get(name)!, right.get(name)!) ?? [];
    });
    const onlyA = [...left.keys()].filter((name) => !right.has(name));
    const onlyB = [...right.keys()].filter((name) => !left.has(name));
    const equal = differences.length + onlyA.length + onlyB.length === 0;
    return { equal, same: common.length - differences.length, onlyA, onlyB, differences };
  } finally {
    dispose([...files]);
  }
}

type Tensors = ReadonlyMap<string, Tensor>;

/** As they are where they share a name; otherwise the network in each, without wrappers' prefixes. */
function comparable(a: Tensors, b: Tensors): [Tensors, Tensors] {
  if ([...a.keys()].some((name) => b.has(name))) return [a, b];
  return [stripWrappers(chooseNetwork(a)), stripWrappers(chooseNetwork(b))];
}

function compareTensors(name: string, a: Tensor, b: Tensor): Difference | undefined {
  if (`${a.shape}` !== `${b.shape}`) return { name, how: `shape [${a.shape.join(', ')}] and [${b.shape.join(', ')}]` };
  const dtypes = a.dtype === b.dtype ? undefined : `dtype ${a.dtype} and ${b.dtype}`;
  if (dtypes === undefined && callRaw('aten::equal', [a, b]) === true) return undefined; // files of gigabytes are compared in seconds
  return tidy(() => {
    const [x, y] = [a.to('f64'), b.to('f64')];
    const bothNaN = isFloating(a.dtype) ? x.isnan().logicalAnd(y.isnan()) : undefined;
    const matches = bothNaN ? x.eq(y).logicalOr(bothNaN) : x.eq(y);
    if (matches.all().item() !== 0) return dtypes === undefined ? undefined : { name, how: `${dtypes}, equal values` };
    const largest = x.sub(y).abs().maskedFill(matches, 0).max().item();
    const share = 1 - matches.to('f64').mean().item();
    const how = `${(100 * share).toPrecision(3)} % of the values${dtypes ? `, ${dtypes}` : ''}`;
    return { name, how, largest };
  });
}

/** Lines for each kind of difference; --json has them all. */
const SHOWN = 30;

/** The comparison as its user should read it. */
export function comparisonText({ equal, same, onlyA, onlyB, differences }: Comparison, a: string, b: string): string {
  if (equal) return `${same} tensors, all equal`;
  const rows = differences.map(({ name, how, largest }) => [
    name,
    how,
    largest === undefined ? '' : `up to ${figure(largest)}`,
  ]);
  return [
    `${same} tensors equal, ${differences.length} differ, ${onlyA.length} only in ${a}, ${onlyB.length} only in ${b}`,
    ...(rows.length > 0 ? shortened(table(rows).split('\n')) : []),
    ...shortened(onlyA.map((name) => `only in ${a}: ${name}`)),
    ...shortened(onlyB.map((name) => `only in ${b}: ${name}`)),
  ].join('\n');
}

function shortened(lines: readonly string[]): string[] {
  return lines.length <= SHOWN ? [...lines] : [...lines.slice(0, SHOWN), `(${lines.length - SHOWN} more)`];
}
