// Generates src/tensor/ops_generated.ts: typed wrappers of the operators this project uses, from libtorch's own schemas.
//   npx tsx scripts/gen-ops.ts            writes the file
//   npx tsx scripts/gen-ops.ts --check    fails when the file differs
// Rules: arguments in front of `*` are positional, in schema order and camelCase; booleans and keyword-only ones go into a
// trailing options object; layout, memory format and pinning are left to their defaults. A second overload after `|` is
// taken when the second operand is a number.
import { readFileSync, writeFileSync } from 'node:fs';
import { argv, exit } from 'node:process';
import { native } from '../src/binding/load.ts';

const TARGET = new URL('../src/tensor/ops_generated.ts', import.meta.url);

const METHODS = `
add.Tensor|add.Scalar sub.Tensor|sub.Scalar mul.Tensor|mul.Scalar div.Tensor|div.Scalar pow.Tensor_Tensor|pow.Tensor_Scalar
remainder.Tensor|remainder.Scalar
neg abs sqrt rsqrt exp log log1p expm1 sin cos tan tanh sigmoid erf erfinv relu square reciprocal floor round ceil sign
clamp maximum minimum atan2
eq.Tensor|eq.Scalar ne.Tensor|ne.Scalar lt.Tensor|lt.Scalar le.Tensor|le.Scalar gt.Tensor|gt.Scalar ge.Tensor|ge.Scalar
logical_and logical_or logical_not isfinite isnan isinf all any all.dim any.dim
matmul mm bmm addmm baddbmm dot
sum.dim_IntList mean.dim prod var.correction std.correction var_mean.correction
amax amin argmax argmin max min topk sort kthvalue cumsum cumprod median logsumexp
reshape view permute transpose.int t squeeze.dim unsqueeze flatten.using_ints expand expand_as repeat repeat_interleave.self_int
chunk split.Tensor split_with_sizes narrow slice.Tensor select.int unbind.int flip roll tril triu diagonal unfold
movedim.int view_as
index_select gather scatter.src scatter.value scatter_add masked_fill.Scalar masked_select index.Tensor index_add index_copy
softmax.int log_softmax.int
clone detach nonzero bincount histc unique_dim lerp.Scalar lerp.Tensor
bitwise_and.Tensor|bitwise_and.Scalar
add_.Tensor|add_.Scalar sub_.Tensor|sub_.Scalar mul_.Tensor|mul_.Scalar div_.Tensor|div_.Scalar
copy_ zero_ fill_.Scalar lerp_.Scalar clamp_ addcmul_ addcdiv_ normal_ uniform_ index_copy_ sqrt_ neg_ round_ exp_ masked_fill_.Scalar sigmoid_ relu_ argsort linalg_vector_norm
`;

const FUNCTIONS = `
cat stack where.self outer linear layer_norm group_norm gelu silu softplus leaky_relu mish
embedding scaled_dot_product_attention conv1d conv2d max_pool2d avg_pool2d adaptive_avg_pool2d
upsample_nearest2d batch_norm cross_entropy_loss one_hot cdist
linalg_vector_norm linalg_eigh linalg_eigvals linalg_eigvalsh linalg_solve linalg_svd linalg_qr linalg_cholesky linalg_inv
rms_norm addcmul view_as_complex view_as_real full_like linalg_svdvals im2col hypot real meshgrid.indexing trace
`;

/** TypeScript names where the operator's own would clash or mislead. */
const RENAMED: Record<string, string> = {
  'all.dim': 'allDim',
  'where.self': 'whereSelf',
  'any.dim': 'anyDim',
  'scatter.value': 'scatterValue',
  'lerp.Tensor': 'lerpTensor',
};

interface Argument {
  type: string;
  name: string;
  hasDefault: boolean;
  keywordOnly: boolean;
}

interface Schema {
  id: string;
  args: Argument[];
  returns: string;
}

const camel = (s: string) => s.replace(/_([a-z0-9])/g, (_, c: string) => c.toUpperCase());

function splitTop(text: string): string[] {
  const out: string[] = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '(' || c === '[') depth++;
    else if (c === ')' || c === ']') depth--;
    else if (c === ',' && depth === 0) {
      out.push(text.slice(start, i).trim());
      start = i + 1;
    }
  }
  const last = text.slice(start).trim();
  return last ? [...out, last] : out;
}

function read(id: string): Schema {
  const [name = '', overload = ''] = id.split('.');
  const text = native().schemaOf(`aten::${name}`, overload);
  if (text === undefined) throw new Error(`gen-ops: this libtorch has no aten::${id}`);
  const arrow = text.lastIndexOf(' -> ');
  const inner = text.slice(text.indexOf('(') + 1, text.slice(0, arrow).lastIndexOf(')'));
  const args: Argument[] = [];
  let keywordOnly = false;
  for (const part of splitTop(inner)) {
    if (part === '*') {
      keywordOnly = true;
      continue;
    }
    const [declaration = '', fallback] = part.split(/=(.*)/s);
    const space = declaration.lastIndexOf(' ');
    const type = declaration.slice(0, space).replace(/\([^)]*\)/g, '');
    args.push({ type, name: declaration.slice(space + 1), hasDefault: fallback !== undefined, keywordOnly });
  }
  return { id: `aten::${id}`, args, returns: text.slice(arrow + 4).replace(/\([a-z! ->*]*\)(?=\)|,|\[|$)/g, '') };
}

const HIDDEN = new Set(['Layout', 'Layout?', 'MemoryFormat', 'MemoryFormat?']);
const hidden = (a: Argument) =>
  HIDDEN.has(a.type) || a.name === 'pin_memory' || a.name === 'cudnn_enable' || a.name === 'cudnn_enabled';

function tsType(a: Argument): string {
  const optional = a.type.endsWith('?');
  const base = optional ? a.type.slice(0, -1) : a.type;
  const list = /^(SymInt|int)\[(\d*)\]$/.exec(base);
  const plain = list
    ? list[2]
      ? 'readonly number[] | number'
      : 'readonly number[]'
    : (
        {
          Tensor: 'Tensor',
          'Tensor[]': 'readonly Tensor[]',
          'Tensor?[]': 'readonly (Tensor | undefined)[]',
          int: 'number',
          SymInt: 'number',
          float: 'number',
          Scalar: 'number',
          bool: 'boolean',
          str: 'string',
          Device: 'string',
          Generator: 'Generator',
          ScalarType: 'Dtype',
          'float[]': 'readonly number[]',
        } as Record<string, string>
      )[base];
  if (plain === undefined) throw new Error(`gen-ops: no TypeScript type for ${a.type}`);
  return plain;
}

function pass(a: Argument, expression: string): string {
  const optional = a.type.endsWith('?') || a.hasDefault || expression.includes('?.');
  const base = a.type.endsWith('?') ? a.type.slice(0, -1) : a.type;
  if (base === 'Tensor') return `${optional ? 'optionalHandle' : 'handleOf'}(${expression})`;
  if (base === 'Generator') return `generatorId(${expression})`;
  if (base === 'ScalarType') return `code(${expression})`;
  if (base === 'Tensor[]') return `handles(${expression})`;
  if (base === 'Tensor?[]') return `optionalHandles(${expression})`;
  return expression;
}

const ids = new Map<string, string>();
const idOf = (schema: Schema): string => {
  const name = `op_${schema.id.slice(6).replace('.', '_')}`;
  ids.set(name, schema.id);
  return `(${name} ||= operator('${schema.id}'))`;
};

function body(schema: Schema, receiver: boolean): string {
  const passed = schema.args.map((a, i) => {
    if (receiver && i === 0) return 'this.handle';
    if (hidden(a)) return 'undefined';
    const inOptions = a.keywordOnly || a.type === 'bool' || a.type === 'bool?';
    return pass(a, inOptions ? `options?.${camel(a.name)}` : camel(a.name));
  });
  while (passed.at(-1) === 'undefined') passed.pop();
  return `engine().call(${idOf(schema)}, ${passed.join(', ')})`;
}

function finish(schema: Schema, expression: string, receiver: boolean): [type: string, code: string] {
  const inPlace = /^aten::[a-z0-9_]*_(\.|$)/.test(schema.id);
  if (inPlace && receiver) return ['this', `${expression};\n    return this;`];
  const { returns } = schema;
  if (returns === 'Tensor') return ['Tensor', `return wrap(${expression});`];
  if (returns === 'Tensor[]') return ['Tensor[]', `return wrapList(${expression});`];
  const parts = splitTop(returns.replace(/^\(|\)$/g, ''));
  if (parts.length > 1 && parts.every((p) => p.startsWith('Tensor'))) {
    return [
      `[${parts.map(() => 'Tensor').join(', ')}]`,
      `return wrapList(${expression}) as [${parts.map(() => 'Tensor').join(', ')}];`,
    ];
  }
  throw new Error(`gen-ops: no conversion for the result ${returns} of ${schema.id}`);
}

function emit(entry: string, receiver: boolean): string {
  const [id = '', numberId] = entry.split('|');
  const schema = read(id);
  const name =
    RENAMED[id] ??
    camel((id.split('.')[0] ?? '').replace(/_$/, '\u0000'))
      .replace('\u0000', '_')
      .replace(/^_/, '');
  const own = schema.args.slice(receiver ? 1 : 0).filter((a) => !hidden(a));
  const positional = own.filter((a) => !a.keywordOnly && a.type !== 'bool' && a.type !== 'bool?');
  const named = own.filter((a) => !positional.includes(a));
  let lastRequired = -1;
  positional.forEach((a, i) => {
    if (!a.hasDefault && !(a.type.endsWith('?') && (receiver || i > 0))) lastRequired = i;
  });
  const params = positional.map((a, i) => {
    const optional = a.type.endsWith('?') || a.hasDefault;
    const union = numberId && i === 0 ? 'Tensor | number' : tsType(a);
    return i > lastRequired && optional
      ? `${camel(a.name)}?: ${union}`
      : `${camel(a.name)}: ${union}${optional ? ' | undefined' : ''}`;
  });
  if (named.length > 0) {
    const required = named.some((a) => !a.hasDefault && !a.type.endsWith('?'));
    const fields = named.map(
      (a) => `${camel(a.name)}${!a.hasDefault && !a.type.endsWith('?') ? '' : '?'}: ${tsType(a)} | undefined`,
    );
    params.push(`options${required ? '' : '?'}: { ${fields.join('; ')} }`);
  }
  const [type, code] = finish(schema, body(schema, receiver), receiver);
  let inner = `    ${code}`;
  if (numberId) {
    const first = camel(positional[0]?.name ?? '');
    const numeric = read(numberId);
    const renamed: Schema = {
      ...numeric,
      args: numeric.args.map((a, i) =>
        i === 1 ? { ...a, name: positional[0]?.name ?? a.name } : { ...a, keywordOnly: i > 1 },
      ),
    };
    const [, numericCode] = finish(renamed, body(renamed, receiver), receiver);
    inner = `    if (typeof ${first} === 'number') {\n    ${numericCode}\n    }\n${inner}`;
  }
  const doc = `/** aten::${id}${numberId ? ` and aten::${numberId}` : ''} */`;
  return receiver
    ? `  ${doc}\n  ${name}(${params.join(', ')}): ${type} {\n${inner}\n  }\n`
    : `${doc}\nexport function ${name}(${params.join(', ')}): ${type} {\n${inner}\n}\n`;
}

const methods = METHODS.trim()
  .split(/\s+/)
  .map((e) => emit(e, true))
  .join('\n');
const functions = FUNCTIONS.trim()
  .split(/\s+/)
  .map((e) => emit(e, false))
  .join('\n');
const text = `// Generated by scripts/gen-ops.ts from libtorch's operator schemas. Do not edit: change the lists there.
/* biome-ignore-all lint: generated */
import { type Dtype, dtypeCode } from './dtype.ts';
import { engine } from './engine.ts';
import type { Generator } from './random.ts';
import type { Tensor } from './tensor.ts';
import { generatorId, handleOf, handles, operator, optionalHandle, optionalHandles, wrap, wrapList } from './wrap.ts';

${[...ids.keys()].map((name) => `let ${name} = 0;`).join('\n')}

const code = (dtype: Dtype | undefined): number | undefined => (dtype === undefined ? undefined : dtypeCode(dtype));

/** The operators of a tensor; PyTorch's names in camelCase. */
export abstract class TensorOps {
  abstract readonly handle: number;

${methods}}

${functions}`;

if (argv.includes('--check')) {
  if (readFileSync(TARGET, 'utf8') !== text) {
    console.error(
      'src/tensor/ops_generated.ts differs from what scripts/gen-ops.ts makes. Run `npx tsx scripts/gen-ops.ts`.',
    );
    exit(1);
  }
} else {
  writeFileSync(TARGET, text);
  console.log(`${METHODS.trim().split(/\s+/).length} methods, ${FUNCTIONS.trim().split(/\s+/).length} functions`);
}
