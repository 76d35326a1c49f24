import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { captureOutput, err, forgetOutput, out } from '../../test/capture.ts';
import { COMMIT, type HubServer, startHub } from '../../test/hub-server.ts';
import { EMBEDDED } from '../inference/model-folder.ts';
import { main } from './main.ts';

let hub: HubServer;
let home: string;
captureOutput();
beforeAll(async () => {
  hub = await startHub();
});
afterAll(() => hub.close());
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'rae-weights-'));
  hub.files.clear();
  hub.faults = {};
  const env = { HF_HOME: home, HF_ENDPOINT: hub.endpoint, HF_TOKEN: 'hf_secret', HF_HUB_CACHE: '', HF_HUB_OFFLINE: '' };
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(home, { recursive: true });
});

const asset = (name: string) => readFileSync(join(EMBEDDED, name));
const encoderRepo = 'facebook/dinov2-with-registers-base';
const serveEncoder = () => {
  hub.files.set(`${encoderRepo}/model.safetensors`, asset('encoder.safetensors'));
  hub.files.set(`${encoderRepo}/pytorch_model.bin`, new Uint8Array(2000));
  hub.files.set(`${encoderRepo}/config.json`, new TextEncoder().encode('{}'));
};
const run = async (...args: string[]) => {
  forgetOutput();
  const code = await main(args);
  return { code, result: out.startsWith('{') ? JSON.parse(out) : undefined };
};

it('get says size and place, fetches one format, and list and verify know of it', async () => {
  serveEncoder();
  expect((await run('weights', 'get', 'dinov2-base-reg')).code).toBe(0);
  expect(err).toMatch(/^left out: pytorch_model.bin .*\n2 files, 1.3 MB, from http:.* to .*hub\n/);
  expect(out).toMatch(/snapshots.*\n2 files, 1.3 MB in .*\nlicence: Apache-2.0\n$/);
  const { result } = await run('weights', 'list', '--json');
  const here = result.weights.filter(({ path }: { path: string | null }) => path !== null);
  expect(here.map(({ name }: { name: string }) => name)).toEqual(['dinov2-base-reg']);
  expect((await run('weights', 'verify', '--json')).result).toMatchObject({
    wrong: 0,
    files: [{ state: 'right' }, { state: 'right' }],
  });
});

it('verify finds a file whose bytes changed, and get --force mends it', async () => {
  serveEncoder();
  const { result } = await run('weights', 'get', 'dinov2-base-reg', '--json');
  const file = join(result.path, 'model.safetensors');
  const bytes = readFileSync(file);
  bytes[5000]! ^= 1;
  writeFileSync(realpathSync(file), bytes);
  expect((await run('weights', 'verify')).code).toBe(1);
  expect(out).toMatch(/wrong +1.3 MB +dinov2-base-reg +model.safetensors/);
  expect(err).toContain('Get them anew: rae weights get --force dinov2-base-reg');
  await run('weights', 'get', '--force', 'dinov2-base-reg');
  expect((await run('weights', 'verify')).code).toBe(0);
});

it('a name stands where a file does, offline too, and says how to get it before', async () => {
  serveEncoder();
  const encode = [
    'encode',
    '--input',
    'embedded',
    '--num',
    '2',
    '--out',
    join(home, 'latents.npz'),
    '--json',
    '--model',
  ];
  expect((await run(...encode, 'dinov2-base-reg')).code).toBe(2);
  expect(err).toMatch(
    /--model: expected 'dinov2-base-reg' in the cache .* Get it \(346 MB\): rae weights get dinov2-base-reg\n$/,
  );
  expect((await run(...encode, `hf://${encoderRepo}`)).code).toBe(2);
  await run('weights', 'get', 'dinov2-base-reg');
  vi.stubEnv('HF_HUB_OFFLINE', '1');
  for (const name of [
    'dinov2-base-reg',
    `hf://${encoderRepo}`,
    encoderRepo,
    `hf://${encoderRepo}@${COMMIT}/model.safetensors`,
  ]) {
    expect([name, (await run(...encode, name)).code]).toEqual([name, 0]);
  }
  expect((await run('weights', 'get', 'dinov2-base-reg')).code).toBe(0);
});

it('a part of a download is not taken for the whole', async () => {
  serveEncoder();
  await run('weights', 'get', encoderRepo, 'config.json');
  expect(
    (await run('encode', '--input', 'embedded', '--out', join(home, 'x.npz'), '--model', 'dinov2-base-reg')).code,
  ).toBe(2);
  expect(err).toContain('received a part of it');
});

it.each([
  ['dinov2base', /received 'dinov2base'. Did you mean 'dinov2-base'\?/],
  ['hf://owner', /expected 'hf:\/\/owner\/repo'/],
  ['hf://a/b/../../c', /expected 'hf:\/\/owner\/repo'/],
  ['nobody/nothing', /received 401: no such repository, or a private one/],
])('get %s is refused', async (name, sentence) => {
  expect((await run('weights', 'get', name)).code).not.toBe(0);
  expect(err).toMatch(sentence);
});

it('put publishes what --model needs, with a card, and nothing of the disk it came from', async () => {
  const folder = join(home, 'run');
  mkdirSync(join(folder, 'samples'), { recursive: true });
  for (const name of [
    'classes.json',
    'rae.yaml',
    'encoder.safetensors',
    'decoder.safetensors',
    'stats.safetensors',
    'dit.safetensors',
  ]) {
    writeFileSync(join(folder, name), asset(name));
  }
  writeFileSync(
    join(folder, 'config.yaml'),
    asset('config.yaml')
      .toString()
      .replace(/^ {2}synthetic:\n( {4}.*\n)+/m, '  path: /home/me/photos\n'),
  );
  writeFileSync(
    join(folder, 'metrics.jsonl'),
    '{"step":5,"eval_ema/loss":0.5,"lr/generator":1}\n{"step":9,"train/loss":0.25}\n',
  );
  writeFileSync(join(folder, 'samples', 'step-0000009.png'), new Uint8Array(1500));
  expect((await run('weights', 'put', folder, 'me/it', '--license', 'mit', '--json')).code).toBe(0);
  const commit = (hub.uploads.get('/api/models/me/it/commit/main') as string)
    .split('\n')
    .map((line) => JSON.parse(line));
  const large = commit
    .filter(({ key }) => key === 'lfsFile')
    .map(({ value }) => [value.path, hub.uploads.get(value.oid)] as const);
  const small = commit
    .filter(({ key }) => key === 'file')
    .map(({ value }) => [value.path, Buffer.from(value.content, 'base64')] as const);
  const all = new Map([...large, ...small]);
  const card = Buffer.from(all.get('README.md') as Uint8Array).toString();
  expect(card).toMatch(
    /^---\nlicense: mit\n.*rae sample --model hf:\/\/me\/it.*\| eval_ema\/loss \| 0.5000 \| 5 \|.*stage_1:/s,
  );
  expect(card).not.toMatch(/lr\/generator|home/);
  expect(Buffer.from(all.get('config.yaml') as Uint8Array).toString()).toContain('path: photos');
  expect(hub.seen.every(({ where, authorization }) => (where === 'cdn') === (authorization === undefined))).toBe(true);
  for (const [path, data] of all) hub.files.set(`me/it/${path}`, data as Uint8Array);
  expect((await run('weights', 'get', 'me/it')).code).toBe(0);
  expect(
    (await run('sample', '--model', 'hf://me/it', '--num', '1', '--steps', '2', '--out', join(home, 'a.png'))).code,
  ).toBe(0);
  expect(existsSync(join(home, 'a.png'))).toBe(true);
});

it('put asks for a token that may write', async () => {
  vi.stubEnv('HF_TOKEN', '');
  expect((await run('weights', 'put', 'embedded', 'me/it')).code).toBe(1);
  expect(err).toContain('me/it: expected a token that may write, received none. Set HF_TOKEN');
  vi.stubEnv('HF_TOKEN', 'hf_read');
  hub.faults = { refuse: ({ method }) => (method === 'POST' ? { status: 403 } : undefined) };
  expect((await run('weights', 'put', 'embedded', 'me/it')).code).toBe(1);
  expect(err).toContain("HF_TOKEN must be a token that may write to 'me'");
});
