// The errors that users meet. One mould of sentence everywhere: "where: expected X, received Y. Next step."
// `code` is stable and machine-readable; the command line prints `message` alone unless --debug is given.

/** Base of every error that rae-ts throws on purpose. */
export class RaeError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.name = new.target.name;
  }
}

/** An argument of the wrong kind or range. */
export class ArgumentError extends RaeError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_ARGUMENT', message, options);
  }
}

/** Shapes that do not fit together, or a rank other than the one asked for. */
export class ShapeError extends RaeError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_SHAPE', message, options);
  }
}

/** A tensor used after it was freed. */
export class DisposedError extends RaeError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_DISPOSED', message, options);
  }
}

/** A configuration, recipe or command-line value that cannot work. */
export class ConfigError extends RaeError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_CONFIG', message, options);
  }
}

/** A checkpoint that does not fit the model: missing, extra and mis-shaped keys are listed. */
export class WeightsError extends RaeError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_WEIGHTS', message, options);
  }
}

/** Input data (pictures, archives, tensors in files) that cannot be read. */
export class DataError extends RaeError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_DATA', message, options);
  }
}

/** A place that cannot be written, or not hold what is asked for: full, read-only, not allowed, or no folder. `reason` is that in a few words. */
export class StorageError extends RaeError {
  readonly reason: string;

  constructor(message: string, { reason, ...options }: ErrorOptions & { reason: string }) {
    super('ERR_STORAGE', message, options);
    this.reason = reason;
  }
}

/** The hub of published weights, its cache, or the way there: what was asked for cannot be had, and why. */
export class HubError extends RaeError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_HUB', message, options);
  }
}

/** An error of libtorch: its first line, the operator, and the shapes and dtypes that went in. */
export class NativeError extends RaeError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_NATIVE', message, options);
  }
}

/** The engine (libtorch or the addon) is missing or does not load; the message lists the remedies. */
export class EngineError extends RaeError {
  constructor(message: string, options?: ErrorOptions) {
    super('ERR_ENGINE', message, options);
  }
}

/** The run was interrupted after saving; carries the signal's exit code (130 or 143). */
export class InterruptedError extends RaeError {
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super('ERR_INTERRUPTED', message);
    this.exitCode = exitCode;
  }
}
