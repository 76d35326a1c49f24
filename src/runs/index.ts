// Run directories: layout, checkpoints, metrics, TensorBoard events.

export { type EventWriter, openEvents } from './events.ts';
export { appendMetrics, cutMetrics, type MetricsRecord, readMetrics } from './metrics-log.ts';
export {
  type Checkpoint,
  commitBest,
  commitCheckpoint,
  latestCheckpoint,
  listCheckpoints,
  prepareRun,
  type RunPaths,
  requireCheckpoint,
  runPaths,
} from './run-dir.ts';
