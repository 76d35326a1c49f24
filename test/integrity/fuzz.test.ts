// Random arguments for every generated operator: it works or throws one of our errors, no handle is lost, and the process lives.
// The parameters are read from the generated file, so a new operator is covered when it appears. Run in a child: a crash of
// libtorch is reported with the call that caused it. Sizes are tiny or beyond any memory, never in between.
// RAE_FUZZ=N makes N calls (default 3,000) and RAE_FUZZ_SEED starts elsewhere.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { inChild } from './child.ts';

const calls = Number(process.env.RAE_FUZZ ?? 3000);
const seed = Number(process.env.RAE_FUZZ_SEED ?? 1);

/** [name, parameters] of the methods (indented) and functions of the generated file. */
function signatures(pattern: RegExp): [string, string[]][] {
  const source = readFileSync(new URL('../../src/tensor/ops_generated.ts', import.meta.url), 'utf8');
  return [...source.matchAll(pattern)].map(([, name = '', list = '']) => [name, split(list)]);
}

/** Splits at commas outside of brackets. */
function split(list: string): string[] {
  const parts = list.split(/,(?![^({[]*[)}\]])/).map((part) => part.trim());
  return parts.filter(Boolean);
}

it(`${calls} random calls end in a result or an error of ours, and leave no tensor behind`, async () => {
  const methods = signatures(/^ {2}(\w+)\((.*)\): [^\n]*\{$/gm);
  const functions = signatures(/^export function (\w+)\((.*)\): [^\n]*\{$/gm);
  expect(methods.length + functions.length).toBeGreaterThan(150);
  const folder = mkdtempSync(join(tmpdir(), 'rae-fuzz-'));
  const last = join(folder, 'last');
  const setting = `const methods = ${JSON.stringify(methods)}, functions = ${JSON.stringify(functions)};
    const calls = ${calls}, seed = ${seed}, last = ${JSON.stringify(last)};`;
  const { code, signal, out, err } = await inChild(setting + fuzz);
  const crash = signal ? `crashed (${signal}) in ${readFileSync(last, 'utf8')}` : err;
  rmSync(folder, { recursive: true });
  expect(code, crash).toBe(0);
  expect(out.slice(0, 2)).toEqual(['[]', '0']);
  expect(Number(out[2]), 'calls that worked').toBeGreaterThan(calls / 4);
});

const fuzz = `
import { ftruncateSync, openSync, writeSync } from 'node:fs';
let s = (seed * 2654435761) >>> 0 || 1; // xorshift
const random = () => { s ^= s << 13; s >>>= 0; s ^= s >>> 17; s ^= s << 5; s >>>= 0; return s / 2 ** 32; };
const pick = (list) => list[Math.floor(random() * list.length)];
const many = (n, f) => Array.from({ length: Math.floor(random() * n) }, f);
const dtypes = ['f32', 'f32', 'f64', 'bf16', 'f16', 'i64', 'i32', 'u8', 'bool'];
const usual = [-2, -1, 0, 1, 2, 3], rare = [7, -7, 17, 2 ** 45, -(2 ** 45), 2 ** 62, NaN, Infinity, 1.5, undefined, null];
const whole = () => pick(random() < 0.75 ? usual : rare);
function tensor() {
  const shape = many(5, () => pick([0, 1, 1, 2, 3, 4, 8]));
  const dtype = pick(dtypes);
  const base = /^[iub]/.test(dtype) && dtype !== 'bf16' ? t.randint(0, dtype === 'bool' ? 2 : 9, shape) : t.randn(shape);
  const x = base.to(dtype), layout = random();
  if (layout < 0.15 && shape.length > 1) return x.transpose(0, shape.length - 1);
  if (layout < 0.25) return x.unsqueeze(0).expand([3, ...shape]);
  return x;
}
function value(type) {
  if (type.includes('Tensor | number') && random() < 0.4) return pick([0, 1, -1, 0.5, NaN, Infinity, 1e308]);
  if (type.includes('undefined)[]')) return many(4, () => (random() < 0.3 ? undefined : tensor()));
  if (type.includes('Tensor[]')) return many(4, tensor);
  if (type.includes('Tensor')) return random() < 0.1 ? undefined : tensor();
  if (type.includes('number[]')) return many(5, whole);
  if (type.includes('boolean')) return random() < 0.5;
  if (type.includes('Dtype')) return pick(dtypes);
  if (type.includes('string')) return pick(['none', 'tanh', 'ij', 'floor', 'L', '']);
  return type.includes('number') ? (random() < 0.8 ? whole() : pick([0.5, 1e308, 1e-6])) : undefined;
}
function argument(parameter) {
  const [name, type] = parameter.split(/: (.*)/s);
  if (!name.startsWith('options')) return name.endsWith('?') && random() < 0.5 ? undefined : value(type);
  const fields = type.slice(1, -1).split(';').filter(() => random() < 0.5);
  return Object.fromEntries(fields.map((field) => field.split(/: (.*)/s)).map(([key, of]) => [key.replace('?', '').trim(), value(of)]));
}
const shown = (v) => v instanceof t.Tensor ? v.dtype + '[' + v.shape + ']' : Array.isArray(v) ? '[' + v.map(shown).join('; ') + ']' : String(v);
const file = openSync(last, 'w');
const strange = [];
let worked = 0;
for (let i = 0; i < calls; i++) t.tidy(() => {
  const [name, parameters] = pick(random() < 0.75 ? methods : functions);
  const owner = t[name] && functions.some(([f]) => f === name) ? t : tensor();
  const args = parameters.map(argument);
  ftruncateSync(file, 0);
  writeSync(file, (owner === t ? '' : shown(owner) + '.') + name + '(' + args.map(shown).join(', ') + ')', 0);
  try {
    const recorded = owner !== t && owner.isFloating && !name.endsWith('_') && random() < 0.3;
    if (recorded) owner.setRequiresGrad();
    for (const result of [owner[name](...args)].flat()) {
      if (!(result instanceof t.Tensor) || result.numel > 1e6) continue;
      addon.shapeOf(result.handle);
      if (recorded && result.requiresGrad) t.backward(result.sum());
    }
    worked++;
  } catch (e) {
    if (!/^(Native|Argument|Shape)Error$/.test(e.constructor.name)) strange.push(name + ': ' + e);
  }
});
say(JSON.stringify(strange));
say(t.memoryStats().tensors);
say(worked);
`;
