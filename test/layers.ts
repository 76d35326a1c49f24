// The layer rule as data and its judge: a folder of src/ imports only lower ones listed in its row, peers never import
// each other, files never import in a circle, no file exceeds 500 lines, and every folder is known.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

export interface Layer {
  level: number;
  /** Folders that may be imported besides util and the folder itself; 'lower' means every one of a lower level. */
  imports: readonly string[] | 'lower';
}

const lower = 'lower';

/** docs/architecture.md explains the folders; this table is what holds. */
export const layers: Record<string, Layer> = {
  util: { level: 0, imports: [] },
  binding: { level: 1, imports: [] },
  tensor: { level: 2, imports: ['binding'] },
  nn: { level: 3, imports: ['tensor'] },
  io: { level: 3, imports: ['tensor'] },
  diffusion: { level: 3, imports: ['tensor'] },
  config: { level: 3, imports: [] },
  runs: { level: 3, imports: [] },
  plot: { level: 3, imports: [] },
  optim: { level: 4, imports: ['tensor', 'nn'] },
  data: { level: 4, imports: ['binding', 'tensor', 'io'] },
  distributed: { level: 4, imports: ['binding', 'tensor', 'nn'] },
  models: { level: 4, imports: ['tensor', 'nn'] },
  recipes: { level: 4, imports: ['config'] },
  weights: { level: 5, imports: ['tensor', 'nn', 'io', 'models'] },
  losses: { level: 5, imports: ['tensor', 'nn', 'models'] },
  metrics: { level: 5, imports: ['tensor', 'nn', 'io', 'models'] },
  inference: { level: 6, imports: ['tensor', 'nn', 'io', 'data', 'models', 'weights', 'diffusion', 'config', 'runs'] },
  evaluation: { level: 7, imports: lower },
  train: { level: 8, imports: lower },
  server: { level: 8, imports: ['config', 'recipes', 'runs', 'inference'] },
  cli: { level: 9, imports: lower },
};

/** Generated files may be long. */
const longFiles = new Set(['tensor/ops_generated.ts']);
const maximumLines = 500;

interface Import {
  target: string;
  /** `import type`, gone at run time: it counts for the layers and not for circles. */
  typeOnly: boolean;
}

/** Everything in the source tree `src` that breaks the rule, one sentence each. */
export function breaches(src: string, table: Record<string, Layer> = layers): string[] {
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .sort();
  const graph = new Map<string, Import[]>();
  const found: string[] = [];
  for (const file of files) {
    const text = readFileSync(join(src, file), 'utf8');
    const lines = text.trimEnd().split('\n').length;
    if (lines > maximumLines && !longFiles.has(file))
      found.push(`${file} has ${lines} lines; ${maximumLines} are the limit`);
    const folder = file.split('/')[0] ?? '';
    if (file.includes('/') && !table[folder]) found.push(`${file}: the folder ${folder} is not in the layer table`);
    if (file.endsWith('.test.ts')) continue; // a test may look up to check from above
    const imports = importsOf(text).map(({ target, typeOnly }) => ({
      target: target.startsWith('.') ? relative(src, join(src, dirname(file), target)) : target,
      typeOnly,
    }));
    graph.set(file, imports);
    for (const { target } of imports) {
      const problem = judge(file, target, table);
      if (problem) found.push(problem);
    }
  }
  return [...found, ...circles(graph)];
}

function judge(file: string, target: string, table: Record<string, Layer>): string | undefined {
  const folder = file.split('/')[0] ?? '';
  const layer = table[folder];
  if (!layer) return undefined; // src/index.ts may import anything; unknown folders are reported already
  const isFile = target.endsWith('.ts') && !target.startsWith('node:');
  if (!isFile) {
    const outside = folder === 'util' && !target.startsWith('node:');
    return outside ? `${file} imports ${target}; util uses node's built-ins only` : undefined;
  }
  const to = target.split('/')[0] ?? '';
  if (to === folder || to === 'util') return undefined;
  const wanted = table[to];
  if (!wanted) return `${file} imports ${target}, which is outside the layers`;
  if (wanted.level === layer.level) return `${file} imports its peer ${target}`;
  if (wanted.level > layer.level) return `${file} imports upward: ${target}`;
  if (layer.imports !== lower && !layer.imports.includes(to))
    return `${file} imports ${target}; ${folder} may not use ${to}`;
  return undefined;
}

/** Static, dynamic and re-exporting imports, comments left out. */
export function importsOf(text: string): Import[] {
  const code = text.replace(/\/\*.*?\*\//gs, '').replace(/^\s*\/\/.*$/gm, '');
  const statics = code.matchAll(/^\s*(?:import|export)\s+(type\s)?(?:[\w*{}\s,$]+?\sfrom\s+)?['"]([^'"]+)['"]/gm);
  const dynamics = code.matchAll(/\bimport\(\s*['"]([^'"]+)['"]\s*\)/g);
  return [
    ...[...statics].map((match) => ({ target: match[2] ?? '', typeOnly: match[1] !== undefined })),
    // Loaded when called: cannot deadlock the order of evaluation, so not part of a circle.
    ...[...dynamics].map((match) => ({ target: match[1] ?? '', typeOnly: true })),
  ];
}

/** Each circle of run-time imports once, as 'a -> b -> a'. */
function circles(graph: Map<string, Import[]>): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string) => {
    const at = path.indexOf(file);
    if (at >= 0) {
      found.push(`circle: ${[...path.slice(at), file].join(' -> ')}`);
      return;
    }
    if (done.has(file)) return;
    path.push(file);
    for (const { target, typeOnly } of graph.get(file) ?? []) if (!typeOnly && graph.has(target)) visit(target);
    path.pop();
    done.add(file);
  };
  for (const file of graph.keys()) visit(file);
  return found;
}
