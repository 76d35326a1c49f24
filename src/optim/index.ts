// What training needs beside the model: AdamW, learning rates, gradient clipping, the moving average.

export { AdamW, type AdamWOptions, type StepOptions } from './adamw.ts';
export { clipGradNorm_, clipScale, gradNorm, nonFiniteGrads } from './clip-grad.ts';
export { Ema, type EmaDecay, warmDecay } from './ema.ts';
export { type LrSchedule, type LrScheduleOptions, type LrScheduleType, lrFactor, lrSchedule } from './lr-schedule.ts';
export { adamWOptions, lrScheduleOptions, type TrainingSection } from './training-section.ts';
