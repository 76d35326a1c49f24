// From what a user writes where a file of weights is expected to the file: paths as they are, names of the catalogue and of the hub
// by the cache. Nothing is ever downloaded on the way: a name that is not in the cache is an error that says how to get it.

import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { bytes } from '../util/format.ts';
import { asObject, readJsonObject } from '../util/json.ts';
import { catalogEntry, nearestEntry } from './catalog.ts';
import { cachedPath, type HubSettings, hubSettings } from './hub-cache.ts';
import { type HubName, isHubName, isRepoName, parseHubName } from './hub-name.ts';

/** Files of weights by their ending. */
export const WEIGHTS = /\.(safetensors|bin|pt|pth|ckpt)$/;

/** The reference's local folder for nyu-visionx/RAE-collections. */
const COLLECTIONS = 'nyu-visionx/RAE-collections';
const REFERENCE_FOLDER = /^(?:\.\/)?models\/(.+)$/;

/** What a name of the catalogue or of the hub stands for; undefined for anything else. ConfigError when it is a broken hub name. */
export function nameOf(text: string, where: string): HubName | undefined {
  const entry = catalogEntry(text);
  if (entry) return { repo: entry.repo, revision: 'main', path: entry.path };
  return isHubName(text) ? parseHubName(text, where) : undefined;
}

/** What a name stands for, a bare `owner/repo` too. ConfigError, with the nearest known name, for anything else. */
export function knownName(text: string, where: string): HubName {
  const name = nameOf(text, where);
  if (name !== undefined) return name;
  if (text.includes('/')) return parseHubName(text, where);
  const near = nearestEntry(text);
  const next = near ? `Did you mean '${near}'?` : "'rae weights list' shows the names.";
  throw new ConfigError(expected(where, 'a known name, owner/repo, or hf://owner/repo/path', text, next));
}

/**
 * The path for `text`: itself where such a file is there or where it is no name, else where the cache has what it names. A bare
 * `owner/repo`, as configurations of the reference have it, is looked up too.
 * @throws ConfigError when the cache has it not; `where` names the option
 */
export function resolveWeights(text: string, where: string, settings: HubSettings = hubSettings()): string {
  if (existsSync(text)) return text;
  const name = nameOf(text, where);
  if (name === undefined) return bareName(text, settings) ?? text;
  const found = inCache(settings, name);
  if (found !== undefined) return found;
  const { size } = catalogEntry(text) ?? {};
  throw new ConfigError(
    `${where}: expected '${text}' in the cache (${settings.cache}), received ${cachedPath(settings, name) ? 'a part of it' : 'nothing'}. Get it${size ? ` (${bytes(size)})` : ''}: rae weights get ${text}`,
  );
}

/** How to get a path that is not there, where it could be a name: a sentence, or ''. */
export function hintFor(text: string): string {
  const near = nearestEntry(text);
  if (near !== undefined && !text.includes('/')) return `Did you mean '${near}' (rae weights list)?`;
  const inCollections = REFERENCE_FOLDER.exec(text)?.[1];
  if (inCollections !== undefined)
    return `It is one of the published files: rae weights get hf://${COLLECTIONS}/${inCollections}`;
  return isRepoName(text) && !/\.\w+$/.test(text) ? `If it is a repository of the hub: rae weights get ${text}` : '';
}

/** A name's place in the cache when all that is needed is there: of a folder with one file of weights, that file. */
export function inCache(settings: HubSettings, name: HubName): string | undefined {
  const path = cachedPath(settings, name);
  if (path === undefined || !statSync(path).isDirectory()) return path;
  if (!isComplete(path)) return undefined;
  if (name.path === '') return path;
  const files = readdirSync(path, { recursive: true, encoding: 'utf8' }).filter((file) => WEIGHTS.test(file));
  return files.length === 1 && !existsSync(join(path, 'config.json')) ? join(path, files[0]!) : path;
}

/** `owner/repo`, and the reference's `models/...`, where the cache has them. */
function bareName(text: string, settings: HubSettings): string | undefined {
  const inCollections = REFERENCE_FOLDER.exec(text)?.[1];
  const collections = { repo: COLLECTIONS, revision: 'main' };
  if (inCollections !== undefined) return cachedPath(settings, { ...collections, path: inCollections });
  return isRepoName(text) ? inCache(settings, parseHubName(text, 'weights')) : undefined;
}

/** Whether a folder has weights, and every shard that its index names. */
function isComplete(folder: string): boolean {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  const shards = files
    .filter((file) => /\.(safetensors|bin)\.index\.json$/.test(file))
    .flatMap((file) => {
      const { weight_map } = readJsonObject(join(folder, file));
      const shards = Object.values(asObject(weight_map, `${file}: weight_map`));
      return shards.map((shard) => join(folder, file, '..', String(shard)));
    });
  return (
    files.some((file) => WEIGHTS.test(file) && existsSync(join(folder, file))) &&
    shards.every((shard) => existsSync(shard))
  );
}
