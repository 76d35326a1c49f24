// The set-up's own modules (scripts/lib/*.mjs, plain JavaScript so that they run before anything is compiled), for the
// verbs that reuse them. Typed here by hand: the only place where src/ reaches into scripts/.

interface FoundLibtorch {
  folder?: string;
  version?: string;
  how?: string;
  notes: string[];
}

export interface ScriptModules {
  paths: { cacheFolder: () => string };
  libtorch: { findLibtorch: () => Promise<FoundLibtorch> };
  'install-libtorch': {
    gpuSeen: () => boolean;
    installLibtorch: (options: { from?: string; cuda?: boolean; say?: (line: string) => void }) => Promise<string>;
  };
  addon: { buildAddon: (libtorch: FoundLibtorch) => Promise<{ addon: string; cached: boolean }> };
  shell: { SetupError: new (message: string) => Error & { tried: string[]; mend: string[] } };
}

/** Imports scripts/lib/NAME.mjs of the package. */
export function scriptsModule<Name extends keyof ScriptModules>(name: Name): Promise<ScriptModules[Name]> {
  return import(new URL(`../../scripts/lib/${name}.mjs`, import.meta.url).href);
}
