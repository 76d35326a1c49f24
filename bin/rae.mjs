#!/usr/bin/env node
// The command `rae`. Everything is in dist/cli/main.js, compiled from src/cli/main.ts by the set-up.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

// `rae doctor | head -1` is no failure.
process.stdout.on('error', (error) => {
  if (error.code !== 'EPIPE') throw error;
});

const main = new URL('../dist/cli/main.js', import.meta.url);
if (existsSync(main)) {
  const { main: run } = await import(main.href);
  process.exitCode = await run(process.argv.slice(2));
} else {
  console.error(
    `rae: ${fileURLToPath(main)} is missing. Run 'npm run build' in ${fileURLToPath(new URL('..', import.meta.url))}`,
  );
  process.exitCode = 1;
}
