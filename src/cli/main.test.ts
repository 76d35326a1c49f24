import { expect, it } from 'vitest';
import { captureOutput, err, out } from '../../test/capture.ts';
import { ConfigError, DataError, InterruptedError } from '../util/errors.ts';
import { main } from './main.ts';
import { integerOption, listOption, reportError, verb } from './shared.ts';

captureOutput();

it.each([[[]], [['--help']], [['help']]])('rae %j lists the verbs and succeeds', async (args) => {
  expect(await main(args)).toBe(0);
  expect(out).toMatch(/doctor {2,}show versions/);
  expect(err).toBe('');
});

it('--version prints the version alone', async () => {
  expect(await main(['--version'])).toBe(0);
  expect(out).toMatch(/^\d+\.\d+\.\d+\n$/);
});

it("a verb's help shows an example", async () => {
  expect(await main(['engine', 'install', '--help'])).toBe(0);
  expect(out).toMatch(/--from <path>.*Example:\n {2}rae engine install/s);
});

it('an unknown verb is bad usage and names the nearest', async () => {
  expect(await main(['docter'])).toBe(2);
  expect(err).toBe("rae: expected a verb, received 'docter'. Did you mean 'doctor'?\n");
});

it('a verb of two words that comes with one is bad usage and shows its help', async () => {
  expect(await main(['train'])).toBe(2);
  expect(err).toMatch(/^Usage: rae train .*encoder \[options\]/s);
  expect(err).not.toContain('outputHelp');
});

it('a name that every object has is no verb', async () => {
  expect(await main(['constructor'])).toBe(2);
  expect(err).toMatch(/expected a verb, received 'constructor'/);
});

it('an unknown option is bad usage, on one line', async () => {
  expect(await main(['doctor', '--jsn'])).toBe(2);
  expect(err).toBe("rae: unknown option '--jsn' (Did you mean --json?)\n");
});

it('doctor --json prints one document with the engine and a product of matrices', async () => {
  expect(await main(['doctor', '--json'])).toBe(0);
  const report = JSON.parse(out);
  expect(report.problems).toEqual([]);
  expect(report.loaded.libtorch).toBe(report.engine.torchVersion.split('+')[0]);
  expect(report.gflops.f32).toBeGreaterThan(0);
});

it.each([
  ['0', "--steps: expected a whole number of at least 1, received '0'."],
  ['2.5', "--steps: expected a whole number of at least 1, received '2.5'."],
  ['many', "--steps: expected a whole number of at least 1, received 'many'."],
])('an option that wants a whole number refuses %s', (text, message) => {
  const command = verb('x', '', 'x').addOption(integerOption('--steps <n>', '', { min: 1 }));
  expect(() => command.exitOverride().parse(['--steps', text], { from: 'user' })).toThrow(new ConfigError(message));
});

it('a list option collects its values', () => {
  const command = verb('x', '', 'x').addOption(listOption('--set <key=value>', ''));
  command.parse(['--set', 'a=1', '--set', 'b=2'], { from: 'user' });
  expect(command.opts().set).toEqual(['a=1', 'b=2']);
});

it.each([
  [new ConfigError('bad'), 2],
  [new DataError('bad'), 1],
  [new InterruptedError('saved', 130), 130],
  [new InterruptedError('saved', 143), 143],
  [Object.assign(new Error('ENOENT: no such file'), { code: 'ENOENT' }), 1],
])('%s ends with exit code %d and without a stack', (error, code) => {
  expect(reportError(error, false)).toBe(code);
  expect(err).toBe(`rae: ${error.message}\n`);
});

it('a mistake of our own says so, and --debug shows the stack', () => {
  expect(reportError(new TypeError('x is not a function'), false)).toBe(1);
  expect(err).toMatch(/mistake in rae itself; --debug/);
  reportError(new DataError('bad'), true);
  expect(err).toMatch(/at .*main\.test\.ts/);
});

it("'help VERB' is that verb's help, and its examples", async () => {
  expect(await main(['help', 'weights', 'get'])).toBe(0);
  expect(out).toMatch(/^Usage: rae weights get .*Example:\n {2}rae weights get dinov2-base-reg/s);
});

it('what other programs call a verb is understood as a question', async () => {
  expect(await main(['download', 'x'])).toBe(2);
  expect(err).toBe("rae: expected a verb, received 'download'. Did you mean 'weights get'?\n");
});

it('the name of the program stands once before an error', async () => {
  expect(await main(['inspect', 'dinov2base'])).toBe(2);
  expect(err).toBe(
    "rae inspect: expected an existing file or folder, received 'dinov2base'. Did you mean 'dinov2-base' (rae weights list)?\n",
  );
});
