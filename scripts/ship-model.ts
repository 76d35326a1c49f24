// Makes assets/ from what `rae demo --full --out FOLDER` trained: npx tsx scripts/ship-model.ts FOLDER.
// Averages are stored as f16, which halves the files; loading makes f32 of them. Paths of the machine become `embedded`.
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { argv } from 'node:process';
import { formatConfig, loadConfig } from '../src/config/index.ts';
import { EMBEDDED } from '../src/inference/model-folder.ts';
import { loadSafetensors, saveSafetensors } from '../src/io/safetensors.ts';
import { requireCheckpoint } from '../src/runs/index.ts';

const from = argv[2];
if (from === undefined) throw new Error('ship-model: expected the folder of a `rae demo --full`, received none.');
mkdirSync(EMBEDDED, { recursive: true });

copyFileSync(join(from, 'encoder', 'encoder.safetensors'), join(EMBEDDED, 'encoder.safetensors'));
copyFileSync(join(from, 'dit', 'stats.safetensors'), join(EMBEDDED, 'stats.safetensors'));
copyFileSync(join(from, 'dit', 'classes.json'), join(EMBEDDED, 'classes.json'));
for (const [run, name, config] of [
  ['rae', 'decoder', 'rae.yaml'],
  ['dit', 'dit', 'config.yaml'],
] as const) {
  const { path, step } = requireCheckpoint(join(from, run));
  const average = loadSafetensors(join(path, 'ema.safetensors'));
  const short = new Map([...average].map(([key, tensor]) => [key, tensor.to('f16')]));
  saveSafetensors(join(EMBEDDED, `${name}.safetensors`), short, { step: String(step), recipe: `embedded-${run}` });
  const resolved = loadConfig(join(from, run, 'config.yaml'), { set: ['stage_1.params.encoder_config_path=embedded'] });
  writeFileSync(join(EMBEDDED, config), formatConfig(resolved));
}
