// The proxy of the environment (HTTPS_PROXY, HTTP_PROXY, NO_PROXY, also in lower case) for requests to the hub. Node's fetch looks at none of
// them before Node 24, and there only when told to; undici, which it is made of, does. Without a proxy Node's own is used.

import type { EnvHttpProxyAgent } from 'undici';
import { HubError } from '../util/errors.ts';

type ProxiedFetch = (
  url: URL,
  init: Omit<RequestInit, 'dispatcher'> & { dispatcher: EnvHttpProxyAgent },
) => Promise<Response>;

const agents = new Map<string, EnvHttpProxyAgent>(); // they keep connections open for the next request

/** fetch, through the proxy that the environment names for `url`, if any. HubError for one that is no address. */
export async function environmentFetch(url: URL, init: RequestInit): Promise<Response> {
  const proxy = proxyOf(url);
  if (proxy === undefined) return fetch(url, init);
  const { EnvHttpProxyAgent, fetch: undiciFetch } = await import('undici');
  const noProxy = variable('no_proxy')?.value ?? '';
  const key = `${proxy.address} ${noProxy}`;
  const uri = proxy.address.href;
  // A tunnel (CONNECT) for https alone: many proxies open one to port 443 only.
  const agent =
    agents.get(key) ?? new EnvHttpProxyAgent({ httpProxy: uri, httpsProxy: uri, noProxy, proxyTunnel: false });
  agents.set(key, agent);
  return (undiciFetch as unknown as ProxiedFetch)(url, { ...init, dispatcher: agent });
}

/** For messages: which proxy the environment names for `url`, without its password; undefined for none. */
export function describeProxy(url: URL): string | undefined {
  const proxy = proxyOf(url);
  return proxy && `${proxy.name}=${proxy.address.protocol}//${proxy.address.host}`;
}

function proxyOf({ protocol }: URL): { name: string; address: URL } | undefined {
  const named = variable(protocol === 'https:' ? 'https_proxy' : 'http_proxy');
  if (named === undefined) return undefined;
  const { name, value } = named;
  const text = value.includes('://') ? value : `http://${value}`; // host:port is usual
  const address = URL.canParse(text) ? new URL(text) : undefined;
  if (address && ['http:', 'https:'].includes(address.protocol)) return { name, address };
  const said = value.replace(/\/\/.*@/, '//...@');
  throw new HubError(
    `${name}: expected the address of a proxy (http://host:port), received '${said}'. Mend or unset it.`,
  );
}

/** A variable of the environment in lower case, else in upper case; empty ones count as unset. */
function variable(lower: string): { name: string; value: string } | undefined {
  for (const name of [lower, lower.toUpperCase()]) {
    const value = process.env[name]?.trim();
    if (value) return { name, value };
  }
  return undefined;
}
