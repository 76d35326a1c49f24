// rae doctor: what this machine and this installation are, whether the engine loads, and how fast it multiplies.
// Every problem comes with the command that mends it; exit code 1 when the engine does not load.
import { existsSync, readFileSync, statSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import type { Command } from 'commander';
import { type EngineRecord, readEngineRecord } from '../binding/load.ts';
import { getThreads, randn, type Tensor, tidy, versions } from '../tensor/index.ts';
import { EngineError } from '../util/errors.ts';
import { bytes, duration, table } from '../util/format.ts';

import { scriptsModule } from './scripts.ts';
import { printResult, type VerbOptions, verb, version } from './shared.ts';

interface Report {
  rae: string;
  node: string;
  system: string;
  cpu: { model: string; logical: number; features: string[] };
  memory: number;
  cache: string;
  engine?: EngineRecord & { addonBytes?: number };
  loaded?: {
    milliseconds: number;
    libtorch: string;
    cpuCapability: string;
    oneDNN: boolean;
    threads: number;
    cudaDevices: number;
  };
  gflops?: { f32: number; bf16: number };
  problems: string[];
  hints: string[];
}

export function command(): Command {
  return verb('doctor', 'show versions, the engine found, devices and speed', 'rae doctor').action(
    async (options: VerbOptions) => {
      const report = await examine();
      printResult(options, report, asText(report));
      if (report.problems.length > 0) throw new EngineError(report.problems.join('\n'));
    },
  );
}

/** Looks at everything; what fails becomes a line of `problems`. */
export async function examine(): Promise<Report> {
  const { cacheFolder } = await scriptsModule('paths');
  const { gpuSeen } = await scriptsModule('install-libtorch');
  const report: Report = {
    rae: version(),
    node: process.versions.node,
    system: `${process.platform} ${process.arch}`,
    cpu: { model: cpus()[0]?.model ?? 'unknown', logical: availableParallelism(), features: cpuFeatures() },
    memory: totalmem(),
    cache: cacheFolder(),
    problems: [],
    hints: [],
  };
  try {
    const record = readEngineRecord();
    report.engine = existsSync(record.addon) ? { ...record, addonBytes: statSync(record.addon).size } : record;
    const started = performance.now();
    const found = versions();
    report.loaded = {
      milliseconds: Math.round(performance.now() - started),
      libtorch: found.libtorch,
      cpuCapability: found.cpuCapability,
      oneDNN: found.mkldnn,
      threads: getThreads(),
      cudaDevices: found.cudaDevices,
    };
    report.gflops = { f32: gemm('f32'), bf16: gemm('bf16') };
    const wanted = process.env.LIBTORCH;
    if (wanted && wanted !== record.libtorch) {
      report.hints.push(`LIBTORCH=${wanted} is not the libtorch in use: 'npm run build' builds the addon against it`);
    }
    if (gpuSeen() && found.cudaDevices === 0) {
      report.hints.push("a GPU is there but the libtorch in use is a CPU build: 'rae engine install --cuda'");
    }
  } catch (error) {
    report.problems.push(error instanceof Error ? error.message : String(error));
  }
  return report;
}

/** Billions of floating-point operations a second in a square matrix product: the best of a few, after a warm-up. */
function gemm(dtype: 'f32' | 'bf16', n = 1024): number {
  return tidy(() => {
    const a: Tensor = randn([n, n], {}).to(dtype);
    let best = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 5; i++) {
      const started = performance.now();
      tidy(() => a.matmul(a).dispose());
      if (i > 0) best = Math.min(best, performance.now() - started);
    }
    return Math.round((2 * n ** 3) / (best * 1e6));
  });
}

/** The vector extensions that libtorch's kernels look for (Linux tells; elsewhere the list is empty). */
function cpuFeatures(): string[] {
  const known = ['avx2', 'fma', 'avx512f', 'avx512_vnni', 'avx512_bf16', 'amx_bf16', 'asimd', 'bf16', 'sve'];
  if (!existsSync('/proc/cpuinfo')) return [];
  const line = readFileSync('/proc/cpuinfo', 'utf8').match(/^(?:flags|Features)\s*:(.*)$/m)?.[1] ?? '';
  const flags = new Set(line.trim().split(/\s+/));
  return known.filter((name) => flags.has(name));
}

function asText({ rae, node, system, cpu, memory, cache, engine, loaded, gflops, hints }: Report): string {
  const rows = [
    ['rae', `${rae}, Node ${node}, ${system}`],
    ['processor', `${cpu.model}, ${cpu.logical} logical, ${cpu.features.join(' ') || 'features unknown'}`],
    ['memory', bytes(memory)],
    ['cache', cache],
  ];
  if (engine) {
    rows.push(['libtorch', `${engine.torchVersion} (${engine.how}), ${engine.libtorch}`]);
    rows.push(['addon', `${engine.addon}${engine.addonBytes ? `, ${bytes(engine.addonBytes)}` : ''}`]);
    rows.push(['compiler', engine.compiler]);
  }
  if (loaded) {
    const { cpuCapability, oneDNN, threads, cudaDevices } = loaded;
    rows.push(['loaded in', duration(loaded.milliseconds / 1000)]);
    rows.push(['kernels', `${cpuCapability}${oneDNN ? ', oneDNN' : ''}, ${threads} threads`]);
    rows.push(['CUDA', cudaDevices > 0 ? `${cudaDevices} device${cudaDevices > 1 ? 's' : ''}` : 'none']);
  }
  if (gflops) rows.push(['product', `${gflops.f32} GFLOPS in f32, ${gflops.bf16} in bf16 (1024 x 1024)`]);
  return [table(rows), ...hints.map((line) => `hint: ${line}`)].join('\n');
}
