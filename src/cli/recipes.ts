// rae recipes: the configurations that come with rae, and each as YAML to start one's own from.

import type { Command } from 'commander';
import { formatConfig, resolveConfig } from '../config/index.ts';
import { recipe, recipes } from '../recipes/index.ts';
import { expected, nearest } from '../util/check.ts';
import { ConfigError } from '../util/errors.ts';
import { table } from '../util/format.ts';
import { printResult, type VerbOptions, verb } from './shared.ts';

export function command(): Command {
  const example =
    'rae recipes\nrae recipes photos-rae > my-rae.yaml\nrae train rae --config my-rae.yaml --data photos --out runs/rae';
  return verb('recipes', 'list the recipes, or print one as YAML', example)
    .argument('[name]', 'print this one')
    .action((name: string | undefined, options: VerbOptions) => {
      if (name === undefined) list(options);
      else show(name, options);
    });
}

function list(options: VerbOptions): void {
  const rows = Object.entries(recipes).map(([name, { about }]) => ({ name, about }));
  const text = table(rows.map(({ name, about }) => [name, about]));
  printResult(options, { recipes: rows }, `${text}\n\n'rae recipes NAME' prints one as YAML.`);
}

function show(name: string, options: VerbOptions): void {
  if (!Object.hasOwn(recipes, name)) throw unknown(name);
  const config = resolveConfig(recipe(name), { name: `recipe ${name}` });
  const header = `# rae recipes ${name}: ${recipes[name as keyof typeof recipes].about}\n`;
  printResult(options, { name, config }, header + formatConfig(config).trimEnd());
}

function unknown(name: string): ConfigError {
  const near = nearest(name, Object.keys(recipes));
  const next = near ? `Did you mean '${near}'?` : "'rae recipes' lists them.";
  return new ConfigError(expected('rae recipes', 'the name of a recipe', name, next));
}
