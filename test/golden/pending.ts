// Kinds of fixtures whose code does not exist yet, with the reason. This list only shrinks: a kind that a golden test
// handles must be taken off it, and a kind that is neither handled nor listed here fails.

/** area -> kind -> what it waits for. */
export const pending: Readonly<Record<string, Readonly<Record<string, string>>>> = {};
