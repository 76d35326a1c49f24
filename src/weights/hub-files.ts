// Which files of a repository to take: weights in one format, what describes them, nothing else.

import { listRepository } from './fetch.ts';
import type { HubSettings } from './hub-cache.ts';
import type { HubName } from './hub-name.ts';
import { WEIGHTS } from './resolve.ts';

export interface ListedFile {
  path: string;
  /** Bytes; unknown for a file that was named. */
  size: number;
}

const DESCRIPTION = /\.(json|ya?ml|txt|md|model)$|^LICEN[CS]E/i;
const OTHER_FORMATS = /\.(h5|msgpack|onnx|ot|tflite|gguf|mlmodel|npz)$/;

/** The files that a name stands for: itself where it has an ending of weights or of a description, else those below it. */
export async function remoteFiles(settings: HubSettings, name: HubName, signal?: AbortSignal): Promise<ListedFile[]> {
  const isFile = WEIGHTS.test(name.path) || DESCRIPTION.test(name.path) || OTHER_FORMATS.test(name.path);
  return isFile ? [{ path: name.path, size: 0 }] : await listRepository(settings, name, signal);
}

/** What to take of `files`: safetensors where a folder has them, else PyTorch's; and the large files left out. */
export function choose(files: readonly ListedFile[], name: HubName): { taken: ListedFile[]; left: ListedFile[] } {
  if (files.length === 1 && files[0]!.path === name.path) return { taken: [...files], left: [] };
  const folderOf = (path: string) => path.slice(0, path.lastIndexOf('/') + 1);
  const safe = new Set(files.filter(({ path }) => path.endsWith('.safetensors')).map(({ path }) => folderOf(path)));
  const isTaken = ({ path }: ListedFile) => {
    if (DESCRIPTION.test(path.slice(folderOf(path).length)))
      return !(safe.has(folderOf(path)) && /\.bin\.index\.json$/.test(path));
    return WEIGHTS.test(path) && (path.endsWith('.safetensors') || !safe.has(folderOf(path)));
  };
  const isWeights = ({ path }: ListedFile) => WEIGHTS.test(path) || OTHER_FORMATS.test(path);
  return { taken: files.filter(isTaken), left: files.filter((file) => !isTaken(file) && isWeights(file)) };
}
