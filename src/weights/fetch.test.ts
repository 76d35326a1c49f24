import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statfsSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { COMMIT, type HubServer, sha256, startHub } from '../../test/hub-server.ts';
import { describeFile, fetchFile, listRepository } from './fetch.ts';
import { type HubSettings, hubSettings } from './hub-cache.ts';
import { parseHubName } from './hub-name.ts';

const TOKEN = 'hf_secret';
const BIG = Uint8Array.from({ length: 200_000 }, (_, i) => (i * 7) % 251);
const SMALL = new TextEncoder().encode('{"hidden_size": 768}');

let hub: HubServer;
let settings: HubSettings;
let folder: string;
beforeAll(async () => {
  hub = await startHub();
});
afterAll(() => hub.close());
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rae-hub-'));
  settings = { endpoint: hub.endpoint, cache: folder, token: TOKEN, offline: false, retryMs: 1 };
  Object.assign(hub, { faults: {}, seen: hub.seen.splice(0, 0) });
  hub.seen.length = 0;
  hub.files.clear();
  hub.files.set('me/it/model.safetensors', BIG).set('me/it/config.json', SMALL);
  return () => rmSync(folder, { recursive: true });
});

const repo = () => join(folder, 'models--me--it');
const blob = () => join(repo(), 'blobs', sha256(BIG));
const get = async (path: string, options = {}) =>
  fetchFile(settings, await describeFile(settings, parseHubName(`hf://me/it/${path}`, 'test')), options);

it('lays files out as huggingface_hub does: blobs by checksum, links in snapshots, commits in refs', async () => {
  const { path, received } = await get('model.safetensors');
  expect(path).toBe(join(repo(), 'snapshots', COMMIT, 'model.safetensors'));
  expect(readlinkSync(path)).toBe(join('..', '..', 'blobs', sha256(BIG)));
  expect(readFileSync(join(repo(), 'refs', 'main'), 'utf8')).toBe(COMMIT);
  expect(readFileSync(path)).toEqual(Buffer.from(BIG));
  expect(received).toBe(BIG.length);
  expect((await get('model.safetensors')).received).toBe(0); // not a second time
  expect(readFileSync((await get('config.json')).path)).toEqual(Buffer.from(SMALL)); // git's SHA-1
});

it('a dropped connection is taken up where it broke off', async () => {
  hub.faults = { dropAfter: ({ range }) => (range === undefined ? 70_000 : undefined) };
  const { received } = await get('model.safetensors');
  expect(readFileSync(blob())).toEqual(Buffer.from(BIG));
  expect(received).toBe(BIG.length);
  expect(hub.seen.filter(({ where }) => where === 'cdn').map(({ range }) => range)).toEqual([
    undefined,
    'bytes=70000-',
  ]);
});

it('a connection that breaks off again and again keeps what arrived for the next call', async () => {
  hub.faults = { dropAfter: ({ range }) => (range === undefined ? 70_000 : 0) };
  await expect(get('model.safetensors')).rejects.toThrow(/broke off at 70.0 kB of 200 kB.*run it again/);
  hub.faults = {};
  expect((await get('model.safetensors')).received).toBe(BIG.length - 70_000);
});

it('a server without ranges gets the file from its beginning', async () => {
  mkdirSync(join(repo(), 'blobs'), { recursive: true });
  writeFileSync(`${blob()}.incomplete`, BIG.subarray(0, 1000));
  hub.faults = { noRanges: true };
  expect((await get('model.safetensors')).received).toBe(BIG.length);
});

it('a part from before that does not fit is fetched anew', async () => {
  mkdirSync(join(repo(), 'blobs'), { recursive: true });
  writeFileSync(`${blob()}.incomplete`, new Uint8Array(1000));
  expect(readFileSync((await get('model.safetensors')).path)).toEqual(Buffer.from(BIG));
});

it('a file of another checksum is refused and removed', async () => {
  hub.faults = { corrupt: true };
  await expect(get('model.safetensors')).rejects.toThrow(/expected the checksum .* the file was removed/);
  expect([existsSync(blob()), existsSync(`${blob()}.incomplete`)]).toEqual([false, false]);
  await expect(get('config.json')).rejects.toThrow('checksum');
});

it('the token reaches the hub and no other host', async () => {
  await get('model.safetensors');
  expect(new Set(hub.seen.map(({ where, authorization }) => `${where} ${authorization}`))).toEqual(
    new Set([`hub Bearer ${TOKEN}`, 'cdn undefined']),
  );
});

it.each([
  [{ status: 401 }, /expected access, received 401.*whether your token may read it/],
  [{ status: 403, headers: { 'x-error-code': 'GatedRepo' } }, /asks for consent to its terms.*\/me\/it/],
  [{ status: 404, headers: { 'x-error-code': 'EntryNotFound' } }, /has no such file \(404\).*\/me\/it\/tree\/main/],
  [{ status: 404, headers: { 'x-error-code': 'RevisionNotFound' } }, /no such revision/],
  [{ status: 404, headers: { 'x-error-code': 'RepoNotFound' } }, /no such repository, or a private one/],
  [{ status: 429, headers: { 'retry-after': '3600' } }, /too many requests \(429\). Try again in 1 h 00 min/],
  [{ status: 500 }, /expected success .*received 500/],
])('an answer of %j is explained', async (refused, sentence) => {
  hub.faults = { refuse: () => refused };
  await expect(get('model.safetensors')).rejects.toThrow(sentence);
});

it('a busy hub is waited for as long as it asks', async () => {
  let asked = 0;
  hub.faults = { refuse: () => (asked++ < 2 ? { status: 429, headers: { 'retry-after': '0' } } : undefined) };
  expect((await get('config.json')).received).toBe(SMALL.length);
});

it('an endpoint that nobody listens at is named', async () => {
  const gone = await startHub();
  await gone.close();
  settings.endpoint = gone.endpoint;
  await expect(get('config.json')).rejects.toThrow(/expected an answer from 127.* received none \(ECONNREFUSED\)/);
});

it('a full disk says so and keeps what fitted', async () => {
  mkdirSync(join(repo(), 'blobs'), { recursive: true });
  symlinkSync('/dev/full', `${blob()}.incomplete`); // every write fails as on a full disk
  await expect(get('model.safetensors')).rejects.toThrow(/disk of .* is full.*HF_HOME/);
});

it('a file that cannot fit is refused before a byte is fetched', async () => {
  const file = await describeFile(settings, parseHubName('hf://me/it/model.safetensors', 'test'));
  const { blocks, bsize } = statfsSync(folder);
  await expect(fetchFile(settings, { ...file, size: blocks * bsize * 2 })).rejects.toThrow(/expected .* free in/);
  expect(hub.seen.filter(({ where }) => where === 'cdn')).toEqual([]);
});

it('a blob of the wrong size in the cache is fetched again, also where another program left it', async () => {
  const { path } = await get('model.safetensors');
  writeFileSync(blob(), BIG.subarray(0, 100));
  expect((await get('model.safetensors')).received).toBe(BIG.length);
  expect(readFileSync(path)).toEqual(Buffer.from(BIG));
});

it('a listing that leads out of the repository is refused', async () => {
  hub.files.set('me/it/../../../etc/x.json', SMALL);
  await expect(listRepository(settings, parseHubName('me/it', 'test'))).rejects.toThrow('inside of the repository');
});

it('HF_HUB_OFFLINE asks nobody', async () => {
  settings.offline = true;
  await expect(get('config.json')).rejects.toThrow('HF_HUB_OFFLINE is set');
  expect(hub.seen).toEqual([]);
});

it("takes huggingface_hub's environment variables", () => {
  expect(
    hubSettings({ HF_HOME: '/h', HF_TOKEN: ' t\n', HF_ENDPOINT: 'https://mirror/', HF_HUB_OFFLINE: 'True' }),
  ).toMatchObject({
    cache: '/h/hub',
    token: 't',
    endpoint: 'https://mirror',
    offline: true,
  });
  expect(hubSettings({ HF_HOME: '/h', HF_HUB_CACHE: '/c' })).toMatchObject({ cache: '/c', token: undefined });
  expect(hubSettings({ XDG_CACHE_HOME: '/x' }).cache).toBe('/x/huggingface/hub');
  writeFileSync(join(folder, 'token'), 'from-login\n');
  expect(hubSettings({ HF_HOME: folder }).token).toBe('from-login');
});
