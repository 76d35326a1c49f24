import { expect, it, vi } from 'vitest';
import { captureOutput, err, out } from '../../test/capture.ts';
import { EngineError } from '../util/errors.ts';

vi.mock('../binding/load.ts', () => ({
  native: () => undefined,
  readEngineRecord: () => {
    throw new EngineError('engine: expected build/engine.json, received no such file.');
  },
}));

captureOutput();

it('without an engine doctor still tells the rest, names the problem and fails', async () => {
  const { main } = await import('./main.ts');
  const code = await main(['doctor', '--json']);
  expect(code).toBe(1);
  expect(JSON.parse(out)).toMatchObject({
    node: process.versions.node,
    problems: [expect.stringMatching(/engine\.json/)],
  });
  expect(err).toBe('rae: engine: expected build/engine.json, received no such file.\n');
});
