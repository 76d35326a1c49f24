import { expect, it, vi } from 'vitest';
import { EngineError } from '../util/errors.ts';

vi.mock('../binding/load.ts', () => ({
  native: () => undefined,
  readEngineRecord: () => {
    throw new EngineError('engine: expected build/engine.json, received no such file.');
  },
}));

it('without an engine doctor still tells the rest, names the problem and fails', async () => {
  const { main } = await import('./main.ts');
  let [out, err] = ['', ''];
  const spies = [
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      out += text;
      return true;
    }),
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      err += text;
      return true;
    }),
  ];
  const code = await main(['doctor', '--json']);
  for (const spy of spies) spy.mockRestore();
  expect(code).toBe(1);
  expect(JSON.parse(out)).toMatchObject({
    node: process.versions.node,
    problems: [expect.stringMatching(/engine\.json/)],
  });
  expect(err).toBe('rae: engine: expected build/engine.json, received no such file.\n');
});
