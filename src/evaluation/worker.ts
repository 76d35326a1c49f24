// A worker process of an evaluation: takes a job and blocks from its parent, one message each (workers.ts).

import { RaeError } from '../util/errors.ts';
import { log } from '../util/log.ts';
import { workOn } from './pass.ts';
import type { Order, Report } from './workers.ts';

const orders: Order[] = [];
let wake: (() => void) | undefined;
process.on('message', (order: Order) => {
  orders.push(order);
  wake?.();
});
process.on('disconnect', () => process.exit(1)); // the parent has gone
process.on('SIGINT', () => {}); // the terminal signals the whole group: the parent decides
log.quiet = true;

async function next(): Promise<Order> {
  while (orders.length === 0) await new Promise<void>((resolve) => (wake = resolve));
  return orders.shift()!;
}

async function* blocks(): AsyncGenerator<number> {
  for (;;) {
    const order = await next();
    if (!('block' in order) || order.block === undefined) return;
    yield order.block;
  }
}

const report = (message: Report) => process.send?.(message);

try {
  const order = await next();
  if ('job' in order) await workOn(order.job, order.folder, blocks(), () => report({ done: true }));
} catch (error) {
  const known = error instanceof RaeError;
  report({
    failed: known ? error.message : String((error as Error).stack ?? error),
    code: known ? error.code : 'ERR_WORKER',
  });
}
