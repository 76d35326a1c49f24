// Files to a repository of the hub in one commit, by @huggingface/hub. Large files go the way of Git LFS (its `useXet: false`): that is
// the protocol that the tests speak, and every hub and mirror takes it.

import { pathToFileURL } from 'node:url';
import { HubError } from '../util/errors.ts';
import type { HubSettings } from './hub-cache.ts';
import { hubFetch, refusal } from './hub-request.ts';

export type UploadFile = { name: string } & ({ path: string } | { text: string });

export interface UploadOptions {
  title: string;
  private: boolean;
  signal?: AbortSignal | undefined;
  /** What happens now, in words. */
  onProgress?: ((text: string) => void) | undefined;
}

/** Commits `files` to `repo`, which is made where it is not there; returns the commit's page. HubError says what is wrong. */
export async function uploadFiles(
  settings: HubSettings,
  repo: string,
  files: readonly UploadFile[],
  { title, private: isPrivate, signal, onProgress }: UploadOptions,
): Promise<string> {
  requireToken(settings, repo);
  const hub = await import('@huggingface/hub');
  const fetch = explained(settings, repo);
  const shared = { repo, hubUrl: settings.endpoint, fetch };
  if (!(await hub.repoExists(shared))) {
    onProgress?.(`making ${repo}${isPrivate ? ', private' : ''}`);
    await hub.createRepo({ ...shared, private: isPrivate, accessToken: '' });
  }
  const operations = files.map((file) => ({
    operation: 'addOrUpdate' as const,
    path: file.name,
    content: 'path' in file ? pathToFileURL(file.path) : new Blob([file.text]),
  }));
  onProgress?.(`${files.length} files to ${repo}`);
  const done = await hub.commit({
    ...shared,
    title,
    operations,
    useXet: false,
    ...(signal && { abortSignal: signal }),
  });
  return done?.commit.url ?? `${settings.endpoint}/${repo}`;
}

/** Refuses an upload that cannot go. */
export function requireToken(settings: HubSettings, repo: string): void {
  if (settings.offline)
    throw new HubError(`${repo}: expected the network, as HF_HUB_OFFLINE is set. Unset it to upload.`);
  if (settings.token === undefined) {
    throw new HubError(
      `${repo}: expected a token that may write, received none. Set HF_TOKEN (${settings.endpoint}/settings/tokens).`,
    );
  }
}

/** fetch whose refusals are our sentences. The library asks whether a repository exists by its 404. */
function explained(settings: HubSettings, repo: string): typeof fetch {
  const plain = hubFetch(settings);
  return async (input, init) => {
    const response = await plain(input, init);
    const asksWhether = (init?.method ?? 'GET') === 'GET' && (response.status === 404 || response.status === 401);
    if (response.ok || asksWhether) return response;
    if (response.status !== 401 && response.status !== 403) throw await refusal(response, `hf://${repo}`, settings);
    await response.body?.cancel();
    throw new HubError(
      `hf://${repo}: expected leave to write, received ${response.status}. HF_TOKEN must be a token that may write to '${repo.split('/')[0]}'.`,
    );
  };
}
