// Requests to the hub. The token goes to the endpoint's own origin and nowhere else: redirects are followed by hand. (The
// library @huggingface/hub 2.17 takes a redirect's target for its own when that answers as a CDN does, and sends the token there;
// its calls go through here as well.) Busy and broken answers are tried again, refusals become sentences.

import { setTimeout as sleep } from 'node:timers/promises';
import { HubError } from '../util/errors.ts';
import { duration } from '../util/format.ts';
import { log } from '../util/log.ts';
import type { HubSettings } from './hub-cache.ts';
import { describeProxy, environmentFetch } from './proxy.ts';

export interface HubRequest {
  method?: 'GET' | 'HEAD';
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
  /** What is asked for, for messages: `hf://owner/repo/path`. */
  what: string;
  /** Follow redirects to other hosts; false returns the redirect itself (its headers describe the file). */
  leave?: boolean;
}

const REDIRECTS = 8;
const ATTEMPTS = 5;
/** A hub that asks for a longer pause is not waited for. */
const LONGEST_PAUSE = 120;

/** Asks for `url` until it answers with success. HubError says what is wrong and what to do. */
export async function request(settings: HubSettings, url: string, asked: HubRequest): Promise<Response> {
  for (let attempt = 1; ; attempt++) {
    const response = await attemptOnce(settings, url, asked, attempt);
    if (response?.ok || (response && asked.leave === false && isRedirect(response))) return response;
    if (response && !isPassing(response)) throw await refusal(response, asked.what, settings);
    const pause = response ? (retryAfter(response) ?? backoff(settings, attempt)) : backoff(settings, attempt);
    if (response && (attempt >= ATTEMPTS || pause > LONGEST_PAUSE)) throw await refusal(response, asked.what, settings);
    await response?.body?.cancel();
    if (pause >= 1)
      log.live(
        `${asked.what}: the hub ${response ? `says ${response.status}` : 'does not answer'}, again in ${duration(pause)}`,
      );
    await sleep(pause * 1000, undefined, { signal: asked.signal });
  }
}

/** `fetch` for the library: the token added for the endpoint alone, redirects by hand. Errors are left to it. */
export function hubFetch(settings: HubSettings): typeof fetch {
  return (input, init) => send(settings, String(input), init ?? {}, true);
}

/** The sentence for an answer that is no success. */
export async function refusal(response: Response, what: string, { token, endpoint }: HubSettings): Promise<HubError> {
  const code = response.headers.get('x-error-code');
  const said = response.headers.get('x-error-message');
  await response.body?.cancel();
  const { status } = response;
  const site = `${endpoint}/${
    what
      .replace(/^hf:\/\//, '')
      .split('/')
      .slice(0, 2)
      .join('/')
      .split('@')[0]
  }`;
  if (code === 'GatedRepo')
    return new HubError(
      `${what}: the hub asks for consent to its terms (${status}). Accept them at ${site}, then set HF_TOKEN to your token.`,
    );
  if (code === 'EntryNotFound')
    return new HubError(`${what}: the repository has no such file (404). Its files are listed at ${site}/tree/main.`);
  if (code === 'RevisionNotFound')
    return new HubError(`${what}: the repository has no such revision (404). Its branches are listed at ${site}.`);
  if (status === 401 || status === 403 || code === 'RepoNotFound') {
    const next = token
      ? 'Check the name, and whether your token may read it.'
      : 'Check the name; for a private one set HF_TOKEN.';
    return new HubError(`${what}: expected access, received ${status}: no such repository, or a private one. ${next}`);
  }
  if (status === 404) return new HubError(`${what}: expected a file on ${endpoint}, received 404. Check the name.`);
  if (status === 429) {
    const pause = retryAfter(response);
    const when = pause === undefined ? 'later' : `in ${duration(pause)}`;
    return new HubError(
      `${what}: the hub has had too many requests (429). Try again ${when}${token ? '' : '; with HF_TOKEN set it allows more'}.`,
    );
  }
  return new HubError(
    `${what}: expected success from ${endpoint}, received ${status}${said ? ` (${said})` : ''}. Try again later.`,
  );
}

/** One try: undefined when nothing came back and it is worth another. */
async function attemptOnce(
  settings: HubSettings,
  url: string,
  { method = 'GET', headers = {}, signal, what, leave = true }: HubRequest,
  attempt: number,
): Promise<Response | undefined> {
  try {
    return await send(settings, url, { method, headers, signal: signal ?? null }, leave);
  } catch (error) {
    if (error instanceof HubError || signal?.aborted) throw error;
    const { code, message } = causeOf(error);
    const refused = message.startsWith('Proxy '); // by the proxy: a wrong password, a host that it does not reach
    const isFinal = attempt >= ATTEMPTS || code === 'ECONNREFUSED' || code === 'ENOTFOUND' || refused;
    if (!isFinal) return undefined;
    const proxy = describeProxy(new URL(url));
    throw new HubError(
      `${what}: expected an answer from ${new URL(url).host}, received none (${refused ? message : (code ?? message)}). Check ${proxy ? `the proxy (${proxy}; user and password go into the address, hosts to reach without it into NO_PROXY)` : 'the connection, or HF_ENDPOINT'}; what is in the cache works without.`,
      { cause: error },
    );
  }
}

async function send(settings: HubSettings, first: string, init: RequestInit, leave: boolean): Promise<Response> {
  const home = new URL(settings.endpoint).origin;
  let url = new URL(first);
  for (let hop = 0; hop <= REDIRECTS; hop++) {
    const headers = new Headers(init.headers);
    headers.delete('authorization');
    if (settings.token !== undefined && url.origin === home) headers.set('authorization', `Bearer ${settings.token}`);
    const response = await environmentFetch(url, { ...init, headers, redirect: 'manual' });
    const location = isRedirect(response) ? response.headers.get('location') : null;
    if (location === null) return response;
    const next = new URL(location, url);
    if (!leave && next.origin !== home) return response;
    await response.body?.cancel();
    url = next;
  }
  throw new HubError(`${first}: expected an answer, received ${REDIRECTS} redirects. Check HF_ENDPOINT.`);
}

function isRedirect({ status }: Response): boolean {
  return [301, 302, 303, 307, 308].includes(status);
}

function isPassing({ status }: Response): boolean {
  return status === 429 || status === 408 || status >= 500;
}

/** Seconds that the answer asks to wait: a number, or a date. */
function retryAfter({ headers }: Response): number | undefined {
  const text = headers.get('retry-after');
  if (text === null) return undefined;
  const seconds = Number(text);
  if (Number.isFinite(seconds)) return Math.max(0, seconds);
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, (date - Date.now()) / 1000);
}

function backoff({ retryMs }: HubSettings, attempt: number): number {
  return (retryMs * 2 ** (attempt - 1)) / 1000;
}

/** What lies at the bottom of an error of fetch. */
function causeOf(error: unknown): { code: string | undefined; message: string } {
  if (error instanceof Error && error.cause instanceof Error) return causeOf(error.cause);
  const { code, message } = error as NodeJS.ErrnoException;
  return { code, message };
}
