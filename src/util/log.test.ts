import { expect, it } from 'vitest';
import { Log, useColor } from './log.ts';

function fake(isTTY: boolean) {
  const stream = {
    text: '',
    isTTY,
    columns: 20,
    write(text: string) {
      this.text += text;
    },
  };
  const clock = { ms: 0 };
  return { stream, clock, log: new Log({ stream, everySeconds: 10, now: () => clock.ms }) };
}

it('a pipe gets a live line at most every ten seconds, and the first one at once', () => {
  const { stream, clock, log } = fake(false);
  for (const ms of [0, 4000, 9999, 10_000, 11_000]) {
    clock.ms = ms;
    log.live(`at ${ms}`);
  }
  expect(stream.text).toBe('at 0\nat 10000\n');
});

it('a terminal gets the live line in place, cut to its width, and wiped before a line that stays', () => {
  const { stream, log } = fake(true);
  log.live('step 1 of a thousand steps');
  log.info('saved');
  expect(stream.text).toBe('\r\x1b[2Kstep 1 of a thousa…\r\x1b[2Ksaved\n');
});

it('done leaves its text and lets the next live line through', () => {
  const { stream, log } = fake(false);
  log.live('a');
  log.done('finished');
  log.live('b');
  expect(stream.text).toBe('a\nfinished\nb\n');
});

it('quiet hides all but warnings', () => {
  const { stream, log } = fake(false);
  log.quiet = true;
  log.info('x');
  log.live('y');
  log.warn('3 files skipped');
  expect(stream.text).toBe('warning: 3 files skipped\n');
});

it('colour needs a terminal and no NO_COLOR', () => {
  expect(useColor(fake(true).stream, {})).toBe(true);
  expect(useColor(fake(true).stream, { NO_COLOR: '1' })).toBe(false);
  expect(useColor(fake(false).stream, {})).toBe(false);
});
