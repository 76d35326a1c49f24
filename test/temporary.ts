// A temporary folder of the run's own, taken away at its end: what a test leaves in it, or a killed child could not clean, does not pile
// up on the machine.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export default function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'rae-test-'));
  process.env.TMPDIR = folder; // inherited by the workers and their children
  return () => rmSync(folder, { recursive: true, force: true });
}
