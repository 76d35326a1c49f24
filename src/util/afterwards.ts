// One way to put something back when work is done, whether it is synchronous or not, and also when it fails.

/** Runs `fn` and then `restore`: after the promise settles where `fn` returns one. */
export function afterwards<T>(fn: () => T, restore: () => void): T {
  let result: T;
  try {
    result = fn();
  } catch (error) {
    restore();
    throw error;
  }
  if (result instanceof Promise) return result.finally(restore) as T;
  restore();
  return result;
}
