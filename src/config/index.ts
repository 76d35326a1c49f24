// Run configurations: schema, defaults, checks. See schema.ts for the layout.

export { checkConfig, checkEncoder, checkFiles, ignoredKeys } from './checks.ts';
export { formatConfig, loadConfig, parseConfigText, readConfigFile } from './load.ts';
export { applyOverrides } from './override.ts';
export { resolveConfig, resolveUnknown } from './resolve.ts';
export type { DecoderConfig, MaeConfig, RunConfig, RunConfigInput, Stage2Config } from './schema.ts';
