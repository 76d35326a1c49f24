// rae weights: the published weights by name, and the hub's cache that they live in: list, get, put, verify.

import { Command } from 'commander';
import { HubError, InterruptedError } from '../util/errors.ts';
import { bytes, counted, duration, percent, table } from '../util/format.ts';
import { log } from '../util/log.ts';
import { catalog, catalogEntry } from '../weights/catalog.ts';
import { describeFile, fetchFile, isFetched, type RemoteFile } from '../weights/fetch.ts';
import { type HubSettings, hubSettings } from '../weights/hub-cache.ts';
import { choose, remoteFiles } from '../weights/hub-files.ts';
import { formatHubName, type HubName, parseHubName } from '../weights/hub-name.ts';
import { inCache, knownName, nameOf } from '../weights/resolve.ts';
import { printResult, type VerbOptions, verb } from './shared.ts';
import { putCommand } from './weights-put.ts';
import { verifyCommand } from './weights-verify.ts';

interface GetOptions extends VerbOptions {
  revision?: string;
  force?: boolean;
}

export function command(): Command {
  const weights = new Command('weights')
    .description('published weights: list, get, put, verify')
    .helpCommand(false)
    .addHelpText('after', '\nExample:\n  rae weights list\n  rae weights get dinov2-base-reg');
  weights.addCommand(
    verb('list', 'the weights known by name, and which of them are here', 'rae weights list').action(list),
  );
  weights.addCommand(
    verb(
      'get',
      "download weights into the hub's cache",
      [
        'rae weights get dinov2-base-reg',
        'rae weights get hf://nyu-visionx/RAE-collections/discs/dino_vit_small_patch8_224.pth',
        'rae weights get facebook/dinov2-small model.safetensors',
      ].join('\n'),
    )
      .argument('<name>', "a name of 'rae weights list', hf://owner/repo, hf://owner/repo/path, or owner/repo")
      .argument('[file]', 'one file or folder of it')
      .option('--revision <name>', 'a branch, a tag or a commit', 'main')
      .option('--force', 'again, although it is here')
      .action(get),
  );
  weights.addCommand(putCommand());
  weights.addCommand(verifyCommand());
  return weights;
}

// ── list ────────────────────────────────────────────────

function list(options: VerbOptions): void {
  const settings = hubSettings();
  const rows = Object.entries(catalog).map(([name, entry]) => {
    const hub = nameOf(name, 'weights list')!;
    return { name, ...entry, hub: formatHubName(hub), path: inCache(settings, hub) ?? null };
  });
  const lines = rows.map(({ name, size, about, path }) => [
    name,
    size === undefined ? '?' : bytes(size),
    path === null ? '' : 'here',
    about,
  ]);
  const uses = table(
    [...new Set(rows.map(({ kind }) => kind))].map((kind) => [kind, rows.find((row) => row.kind === kind)!.use]),
  );
  const licences = [...new Set(rows.map(({ licence }) => licence))].map(
    (licence) => `${names(rows.filter((row) => row.licence === licence).map(({ name }) => name))}: ${licence}`,
  );
  const text = [
    table([['name', 'size', '', 'what'], ...lines]),
    `where a name goes\n${uses}`,
    `licences, as far as known; the repository's page decides\n${licences.join('\n')}`,
    `cache: ${settings.cache}\n'rae weights get NAME' downloads; any repository of the hub goes by hf://owner/repo as well.`,
  ].join('\n\n');
  printResult(options, { cache: settings.cache, weights: rows }, text);
}

/** A few names, or how many there are. */
function names(all: readonly string[]): string {
  return all.length <= 3 ? all.join(', ') : `${all.slice(0, 2).join(', ')} and ${all.length - 2} more`;
}

// ── get ─────────────────────────────────────────────────

async function get(text: string, file: string | undefined, options: GetOptions): Promise<void> {
  log.quiet = options.json ?? false;
  const settings = hubSettings();
  const name = wanted(text, file, options);
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  try {
    const result = await download(settings, name, { force: options.force, signal: stop.signal });
    const { path, files, received, seconds } = result;
    const licence = catalogEntry(text)?.licence;
    const spent = received > 0 ? `${bytes(received)} in ${duration(seconds)}` : 'nothing to fetch';
    const lines = [
      `${path}`,
      `${counted(files.length, 'file')}, ${spent}`,
      ...(licence ? [`licence: ${licence}`] : []),
    ];
    printResult(options, { name: formatHubName(name), ...result, licence }, lines.join('\n'));
  } catch (error) {
    log.done();
    if (!stop.signal.aborted) throw error;
    throw new InterruptedError('interrupted: what arrived is kept; run it again to go on from there.', 130);
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  }
}

function wanted(text: string, file: string | undefined, { revision = 'main' }: GetOptions): HubName {
  const name = knownName(text, 'weights get');
  const path = [name.path, file].filter((part) => part).join('/');
  return parseHubName(
    formatHubName({ ...name, path, revision: name.revision === 'main' ? revision : name.revision }),
    'weights get',
  );
}

interface Downloaded {
  /** The file or folder in the cache. */
  path: string;
  files: { path: string; size: number | undefined; received: number }[];
  received: number;
  seconds: number;
}

/** Downloads what a name stands for, small files first. In HF_HUB_OFFLINE, what is there is taken as it is. */
async function download(
  settings: HubSettings,
  name: HubName,
  { force, signal }: { force: boolean | undefined; signal: AbortSignal },
): Promise<Downloaded> {
  const started = performance.now();
  const there = inCache(settings, name);
  if (settings.offline && there !== undefined) {
    log.info('HF_HUB_OFFLINE is set: taken from the cache, not compared with the hub');
    return { path: there, files: [], received: 0, seconds: 0 };
  }
  const files = await remoteFiles(settings, name, signal);
  const { taken, left } = choose(files, name);
  if (taken.length === 0) throw new HubError(`${formatHubName(name)}: expected files of weights, received none.`);
  for (const { path, size } of left) log.info(`left out: ${path} (${bytes(size)}); name it to have it`);
  const described: RemoteFile[] = [];
  for (const { path } of taken) described.push(await describeFile(settings, { ...name, path }, signal));
  const missing = described.filter((file) => force || !isFetched(settings, file));
  const total = missing.reduce((sum, { size = 0 }) => sum + size, 0);
  if (missing.length > 0)
    log.info(`${counted(missing.length, 'file')}, ${bytes(total)}, from ${settings.endpoint} to ${settings.cache}`);
  const fetched: Downloaded['files'] = [];
  let last = there;
  for (const file of described.sort((a, b) => (a.size ?? 0) - (b.size ?? 0))) {
    const { path, received } = await fetchFile(settings, file, { force, signal, onProgress: progress(file) });
    if (received > 0) log.done(`${file.path}: ${file.size === undefined ? '' : `${bytes(file.size)}, `}checksum right`);
    fetched.push({ path: file.path, size: file.size, received });
    last = path;
  }
  return {
    path: inCache(settings, name) ?? last!,
    files: fetched,
    received: fetched.reduce((sum, { received }) => sum + received, 0),
    seconds: (performance.now() - started) / 1000,
  };
}

/** A live line: how much, how fast, how long yet. */
function progress({ path, size }: RemoteFile): (done: number) => void {
  let [began, first, shown] = [performance.now(), -1, 0];
  return (done) => {
    const now = performance.now();
    if (first < 0) [began, first] = [now, done];
    const isLast = done === size;
    if (isLast ? shown === 0 : now - shown < 100) return; // small files need no line
    shown = now;
    const speed = (done - first) / Math.max(1e-3, (now - began) / 1000);
    const rate = now - began < 500 ? '' : `  ${bytes(speed)}/s`;
    const left = size === undefined || rate === '' ? '' : `  ${duration((size - done) / speed)} left`;
    const of = size === undefined ? '' : ` of ${bytes(size)}  ${percent(done / size)}`;
    log.live(`${path}  ${bytes(done)}${of}${rate}${left}`);
  };
}
