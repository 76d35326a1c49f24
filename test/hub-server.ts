// A hub of our own for tests: the endpoints of the Hugging Face hub that downloads, listings and uploads use, on this machine, with
// large files on a second server as the hub's CDN is (another origin), and faults on demand.

import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export const COMMIT = 'c0ffee'.padEnd(40, '0');

export interface Seen {
  where: 'hub' | 'cdn';
  method: string;
  url: string;
  authorization: string | undefined;
  range: string | undefined;
}

/** What a test may bend; each is asked per request and may answer it. */
export interface Faults {
  /** Break the connection after so many bytes of a file's body. */
  dropAfter?: (seen: Seen) => number | undefined;
  /** Send these bytes in place of the file's. */
  corrupt?: boolean;
  /** Answer with this status and headers instead. */
  refuse?: (seen: Seen) => { status: number; headers?: Record<string, string> } | undefined;
  /** Answer ranges with the whole file. */
  noRanges?: boolean;
}

export interface HubServer {
  endpoint: string;
  cdn: string;
  /** Files by `owner/repo/path`; more than 1 kB is a large file. */
  files: Map<string, Uint8Array>;
  faults: Faults;
  seen: Seen[];
  /** The bodies of uploads: JSON of the hub's interface by URL, large files by checksum. */
  uploads: Map<string, string | Uint8Array>;
  close(): Promise<void>;
}

export const sha256 = (data: Uint8Array) => createHash('sha256').update(data).digest('hex');
export const gitSha1 = (data: Uint8Array) =>
  createHash('sha1').update(`blob ${data.length}\0`).update(data).digest('hex');
const isLarge = (data: Uint8Array) => data.length > 1000;

export async function startHub(): Promise<HubServer> {
  const hub: Omit<HubServer, 'endpoint' | 'cdn' | 'close'> = {
    files: new Map(),
    faults: {},
    seen: [],
    uploads: new Map(),
  };
  let [endpoint, cdn] = ['', ''];
  const enter = (where: Seen['where'], { method = '', url = '', headers }: IncomingMessage): Seen => {
    const seen = { where, method, url, authorization: headers.authorization, range: headers.range };
    hub.seen.push(seen);
    return seen;
  };
  const onHub = async (request: IncomingMessage, response: ServerResponse) => {
    const seen = enter('hub', request);
    const refused = hub.faults.refuse?.(seen);
    if (refused) return void response.writeHead(refused.status, refused.headers).end();
    const { pathname } = new URL(seen.url, endpoint);
    const [, repo, path] = /^\/([^/]+\/[^/]+)\/resolve\/[^/]+\/(.+)$/.exec(decodeURI(pathname)) ?? [];
    if (repo !== undefined && path !== undefined) return resolve(seen, `${repo}/${path}`, response);
    const [, listed, folder = ''] = /^\/api\/models\/([^/]+\/[^/]+)\/tree\/main\/?(.*)$/.exec(pathname) ?? [];
    if (listed !== undefined) return json(response, list(hub.files, listed, folder));
    const [, asked] = /^\/api\/models\/([^/]+\/[^/]+)\/revision\//.exec(pathname) ?? [];
    if (asked !== undefined) {
      const known = [...hub.files.keys()].some((key) => key.startsWith(`${asked}/`));
      if (!known) return void response.writeHead(401, { 'x-error-code': 'RepoNotFound' }).end();
      return json(response, { sha: COMMIT });
    }
    if (request.method === 'POST') return upload(pathname, await body(request), response);
    response.writeHead(404).end();
  };
  const resolve = (seen: Seen, key: string, response: ServerResponse) => {
    const data = hub.files.get(key);
    if (!data) return void response.writeHead(404, { 'x-error-code': 'EntryNotFound' }).end();
    const headers = { 'x-repo-commit': COMMIT };
    if (!isLarge(data)) return send(seen, data, response, { ...headers, etag: `"${gitSha1(data)}"` });
    const linked = { 'x-linked-etag': `"${sha256(data)}"`, 'x-linked-size': String(data.length) };
    response.writeHead(302, { ...headers, ...linked, location: `${cdn}/${key}?signature=abc` }).end();
  };
  const send = (seen: Seen, data: Uint8Array, response: ServerResponse, headers: Record<string, string>) => {
    const start = hub.faults.noRanges ? 0 : Number(/^bytes=(\d+)-/.exec(seen.range ?? '')?.[1] ?? 0);
    const part = (hub.faults.corrupt ? data.map((byte) => byte ^ 1) : data).subarray(start);
    const range = start > 0 ? { 'content-range': `bytes ${start}-${data.length - 1}/${data.length}` } : {};
    response.writeHead(start > 0 ? 206 : 200, { ...headers, ...range, 'content-length': String(part.length) });
    if (seen.method === 'HEAD') return void response.end();
    const drop = hub.faults.dropAfter?.(seen);
    if (drop === undefined || drop >= part.length) return void response.end(part);
    response.write(part.subarray(0, drop), () => setImmediate(() => response.destroy()));
  };
  const onCdn = async (request: IncomingMessage, response: ServerResponse) => {
    const seen = enter('cdn', request);
    const refused = hub.faults.refuse?.(seen);
    if (refused) return void response.writeHead(refused.status, refused.headers).end();
    if (request.method === 'PUT') {
      hub.uploads.set(seen.url.slice(1), await body(request));
      return void response.end();
    }
    const data = hub.files.get(decodeURI(new URL(seen.url, cdn).pathname.slice(1)));
    if (!data) return void response.writeHead(403).end();
    send(seen, data, response, { 'x-cache': 'Hit from cloudfront', etag: '"of-the-cdn"' });
  };
  const upload = (path: string, data: Uint8Array, response: ServerResponse) => {
    const text = new TextDecoder().decode(data);
    hub.uploads.set(path, text);
    if (path.endsWith('/create')) return json(response, { url: `${endpoint}/me/it`, id: '1' });
    if (path.includes('/preupload/')) {
      const { files } = JSON.parse(text) as { files: { path: string; size: number }[] };
      return json(response, {
        files: files.map((file) => ({ path: file.path, uploadMode: file.size > 1000 ? 'lfs' : 'regular' })),
      });
    }
    if (path.endsWith('/objects/batch')) {
      const { objects } = JSON.parse(text) as { objects: { oid: string; size: number }[] };
      const actions = (oid: string) => ({ upload: { href: `${cdn}/${oid}`, header: {} } });
      return json(response, {
        transfer: 'basic',
        objects: objects.map((object) => ({ ...object, actions: actions(object.oid) })),
      });
    }
    if (path.includes('/commit/'))
      return json(response, { commitOid: COMMIT, commitUrl: `${endpoint}/me/it/commit/${COMMIT}` });
    response.writeHead(404).end();
  };
  const servers = [createServer(onHub), createServer(onCdn)];
  [endpoint, cdn] = (await Promise.all(servers.map(listen))) as [string, string];
  return Object.assign(hub, { endpoint, cdn, close: async () => void (await Promise.all(servers.map(close))) });
}

function list(files: ReadonlyMap<string, Uint8Array>, repo: string, folder: string) {
  const below = folder === '' ? '' : `${folder}/`;
  return [...files].flatMap(([key, data]) => {
    const path = key.startsWith(`${repo}/`) ? key.slice(repo.length + 1) : undefined;
    return path?.startsWith(below) ? [{ type: 'file', path, size: data.length, oid: gitSha1(data) }] : [];
  });
}

function json(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

async function body(request: IncomingMessage): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function close(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
}
