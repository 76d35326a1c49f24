// rae weights verify: the files of the cache against their checksums, without the network: the cache names a file by its checksum.

import { lstatSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Command } from 'commander';
import { ConfigError, HubError } from '../util/errors.ts';
import { bytes, count, table } from '../util/format.ts';
import { log } from '../util/log.ts';
import { catalog } from '../weights/catalog.ts';
import { checksum } from '../weights/fetch.ts';
import { cachedPath, type HubSettings, hubSettings } from '../weights/hub-cache.ts';
import { formatHubName, type HubName } from '../weights/hub-name.ts';
import { knownName, nameOf } from '../weights/resolve.ts';
import { printResult, type VerbOptions, verb } from './shared.ts';

type State = 'right' | 'wrong' | 'missing' | 'no checksum';

interface Checked {
  name: string;
  file: string;
  state: State;
  size: number;
}

export function verifyCommand(): Command {
  return verb(
    'verify',
    'compare what is in the cache with its checksums',
    'rae weights verify\nrae weights verify dinov2-base-reg hf://owner/repo',
  )
    .argument('[names...]', 'as for get; default: whatever of the catalogue is here')
    .action(verify);
}

async function verify(texts: string[], options: VerbOptions): Promise<void> {
  log.quiet = options.json ?? false;
  const settings = hubSettings();
  const checked: Checked[] = [];
  for (const { text, name } of named(texts, settings)) {
    for (const file of filesAt(cachedPath(settings, name)!)) {
      log.live(`${text}: ${basename(file)}`);
      checked.push({ name: text, file, ...(await check(file)) });
    }
  }
  log.done();
  const wrong = checked.filter(({ state }) => state === 'wrong' || state === 'missing');
  const rows = checked.map(({ state, size, name, file }) => [state, bytes(size), name, basename(file)]);
  const head = checked.length === 0 ? `nothing of the catalogue is in ${settings.cache}` : table(rows);
  printResult(options, { cache: settings.cache, files: checked, wrong: wrong.length }, head);
  if (wrong.length === 0) return;
  const names = [...new Set(wrong.map(({ name }) => name))];
  throw new HubError(
    `weights verify: expected checksums that fit, received ${count(wrong.length)} files of other bytes or without any. Get them anew: ${names.map((name) => `rae weights get --force ${name}`).join('; ')}`,
  );
}

function named(texts: readonly string[], settings: HubSettings): { text: string; name: HubName }[] {
  const here = Object.keys(catalog).filter((text) => cachedPath(settings, nameOf(text, 'verify')!) !== undefined);
  return (texts.length === 0 ? here : texts).map((text) => {
    const name = knownName(text, 'weights verify');
    if (cachedPath(settings, name) !== undefined) return { text, name };
    throw new ConfigError(
      `weights verify: expected ${formatHubName(name)} in the cache (${settings.cache}), received nothing. Get it: rae weights get ${text}`,
    );
  });
}

/** The files at a path, links whose blob is gone included. */
function filesAt(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .map((name) => join(path, name))
    .filter((file) => !lstatSync(file).isDirectory())
    .sort();
}

async function check(file: string): Promise<{ state: State; size: number }> {
  const info = statSync(file, { throwIfNoEntry: false });
  if (info === undefined) return { state: 'missing', size: 0 };
  if (!lstatSync(file).isSymbolicLink()) return { state: 'no checksum', size: info.size };
  const blob = join(dirname(file), readlinkSync(file));
  const etag = basename(blob);
  const found = await checksum(blob, etag);
  return { state: found === undefined ? 'no checksum' : found === etag ? 'right' : 'wrong', size: info.size };
}
