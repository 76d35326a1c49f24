// Where a chart goes: .svg as it is, .png drawn from it at twice the size.

import { svgToPng } from '../io/image.ts';
import { writeFileAtomic } from '../util/atomic-write.ts';
import { expected } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';

/** ConfigError for any other ending; call it before the work. */
export function checkChartEnding(out: string): void {
  if (!/\.(svg|png)$/i.test(out)) throw new ConfigError(expected('--out', 'a name ending in .svg or .png', out));
}

export async function saveChart(out: string, svg: string): Promise<void> {
  writeFileAtomic(out, /\.png$/i.test(out) ? await svgToPng(svg, { scale: 2 }) : svg);
}
