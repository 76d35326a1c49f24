// How fast a run goes. Pictures a second are of the steps alone, since the last log line: grids, evaluations and checkpoints between
// them count for the time that is left, not for the speed.

export interface Pace {
  /** Call when a step has ended. */
  stepped(): void;
  /** Call when the next step may begin: what happened since `stepped` was no training. */
  resume(): void;
  /** Call when a log line has been written. */
  newLine(): void;
  /** Pictures a second. */
  speed(): number;
  /** Seconds that `steps` more will take, at the mean of all that happened since the start. */
  left(steps: number): number;
}

/** A pace that begins now; `now` gives seconds. */
export function newPace(batch: number, now: () => number = () => performance.now() / 1000): Pace {
  const started = now();
  let steps = 0;
  let resumedAt = started;
  let line = { steps: 0, seconds: 0 };
  let speed = Number.NaN;
  return {
    stepped() {
      steps++;
      line = { steps: line.steps + 1, seconds: line.seconds + now() - resumedAt };
      speed = (line.steps * batch) / line.seconds;
    },
    resume() {
      resumedAt = now();
    },
    newLine() {
      line = { steps: 0, seconds: 0 };
    },
    speed: () => speed,
    left: (more) => (more * (now() - started)) / steps,
  };
}
