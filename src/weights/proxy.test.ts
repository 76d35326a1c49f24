import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { type HubServer, startHub } from '../../test/hub-server.ts';
import { describeFile, fetchFile, listRepository } from './fetch.ts';
import type { HubSettings } from './hub-cache.ts';
import { parseHubName } from './hub-name.ts';

const FILE = Uint8Array.from({ length: 200_000 }, (_, i) => (i * 7) % 251);
const VARIABLES = ['http_proxy', 'HTTP_PROXY', 'https_proxy', 'HTTPS_PROXY', 'no_proxy', 'NO_PROXY'];

/** What the proxy was asked for: `GET http://...` or `CONNECT host:port`, with the credentials given. */
const asked: string[] = [];
let answer: number | undefined; // instead of passing on
const proxy = createServer((incoming, response) => {
  asked.push(`${incoming.method} ${incoming.url} ${incoming.headers['proxy-authorization'] ?? ''}`.trim());
  if (answer !== undefined) return void response.writeHead(answer).end();
  const { 'proxy-authorization': _, ...headers } = incoming.headers;
  request(incoming.url!, { method: incoming.method!, headers }, (from) => {
    response.writeHead(from.statusCode!, from.headers);
    from.pipe(response);
  }).end();
});
proxy.on('connect', ({ url = '', headers }, socket) => {
  asked.push(`CONNECT ${url} ${headers['proxy-authorization'] ?? ''}`.trim());
  if (answer !== undefined) return void socket.end(`HTTP/1.1 ${answer} no\r\n\r\n`);
  const onward = connect({ host: '127.0.0.1', port: Number(new URL(hub.endpoint).port) }, () => {
    socket.write('HTTP/1.1 200 open\r\n\r\n');
    onward.pipe(socket).pipe(onward);
  });
  for (const end of [socket, onward]) end.on('error', () => {}); // the hub speaks no TLS: both hang up
});

let hub: HubServer;
let settings: HubSettings;
let host: string;
beforeAll(async () => {
  hub = await startHub();
  hub.files.set('me/it/model.safetensors', FILE);
  await new Promise<void>((done) => proxy.listen(0, '127.0.0.1', done));
  host = `127.0.0.1:${(proxy.address() as AddressInfo).port}`;
});
afterAll(async () => {
  proxy.closeAllConnections();
  proxy.close();
  await hub.close();
});
beforeEach(() => {
  const cache = mkdtempSync(join(tmpdir(), 'rae-proxy-'));
  settings = { endpoint: hub.endpoint, cache, token: 'hf_secret', offline: false, retryMs: 1 };
  [asked.length, answer] = [0, undefined];
  for (const name of VARIABLES) vi.stubEnv(name, '');
  return () => rmSync(cache, { recursive: true });
});
afterEach(() => void vi.unstubAllEnvs());

const name = parseHubName('hf://me/it/model.safetensors', 'test');
const get = async () => fetchFile(settings, await describeFile(settings, name));

it('HTTP_PROXY takes downloads and listings, with its user and password', async () => {
  vi.stubEnv('HTTP_PROXY', `http://me:p%40ss@${host}`);
  expect(readFileSync((await get()).path)).toEqual(Buffer.from(FILE));
  expect(await listRepository(settings, parseHubName('me/it', 'test'))).toEqual([
    { path: 'model.safetensors', size: FILE.length },
  ]);
  const credentials = `Basic ${Buffer.from('me:p@ss').toString('base64')}`;
  expect(asked[0]).toBe(`HEAD ${hub.endpoint}/me/it/resolve/main/model.safetensors ${credentials}`);
  expect(asked.some((line) => line.startsWith(`GET ${hub.cdn}/`))).toBe(true);
  expect(hub.seen.filter(({ where, authorization }) => where === 'cdn' && authorization)).toEqual([]);
});

it.each(['127.0.0.1', '*', 'example.com,127.0.0.1', 'example.com 127.0.0.1'])(
  'NO_PROXY=%s leaves the hub to itself',
  async (hosts) => {
    vi.stubEnv('http_proxy', host);
    await get();
    expect(asked.length).toBeGreaterThan(0);
    asked.length = 0;
    vi.stubEnv('NO_PROXY', hosts);
    await describeFile(settings, name);
    expect(asked).toEqual([]);
  },
);

it('https goes by a tunnel of HTTPS_PROXY, and by none of HTTP_PROXY', async () => {
  settings.endpoint = 'https://hub.invalid';
  vi.stubEnv('HTTP_PROXY', host);
  await expect(get()).rejects.toThrow('from hub.invalid, received none (ENOTFOUND). Check the connection');
  expect(asked).toEqual([]);
  vi.stubEnv('https_proxy', host);
  await expect(get()).rejects.toThrow(/from hub.invalid, received none .*https_proxy=http:\/\/127/);
  expect(new Set(asked)).toEqual(new Set(['CONNECT hub.invalid:443']));
});

it('a proxy that wants a password, or is not there, or is none, is named', async () => {
  answer = 407;
  vi.stubEnv('HTTP_PROXY', host);
  await expect(get()).rejects.toThrow(
    `none (Proxy Authentication Required (407)). Check the proxy (HTTP_PROXY=http://${host}; user and password go`,
  );
  settings.endpoint = 'https://hub.invalid';
  vi.stubEnv('HTTPS_PROXY', `http://me:secret@${host}`);
  await expect(get()).rejects.toThrow(
    `none (Proxy response (407) !== 200 when HTTP Tunneling). Check the proxy (HTTPS_PROXY=http://${host}; user and`,
  );
  expect(asked.at(-1)).toMatch(/^CONNECT hub.invalid:443 Basic /);
  vi.stubEnv('HTTPS_PROXY', 'http://127.0.0.1:1');
  await expect(get()).rejects.toThrow('received none (ECONNREFUSED). Check the proxy (HTTPS_PROXY=http://127.0.0.1:1;');
  vi.stubEnv('HTTPS_PROXY', 'socks5://me:secret@there:1080');
  await expect(get()).rejects.toThrow(
    "HTTPS_PROXY: expected the address of a proxy (http://host:port), received 'socks5://...@there:1080'.",
  );
});
