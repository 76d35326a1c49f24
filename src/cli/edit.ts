// rae edit interpolate|mix|invert|vary|inpaint: more from a trained model than fresh samples.

import { Command } from 'commander';
import { interpolateCommand, mixCommand } from './edit-generate.ts';
import { inpaintCommand, invertCommand, varyCommand } from './edit-photos.ts';

export function command(): Command {
  const edit = new Command('edit').description('interpolate, mix classes, invert, vary and inpaint');
  for (const verb of [interpolateCommand(), mixCommand(), invertCommand(), varyCommand(), inpaintCommand()])
    edit.addCommand(verb);
  return edit;
}
