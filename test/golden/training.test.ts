// Golden values of training: losses, discriminator, augmentation, statistics, and whole trajectories.

import { loadSafetensors } from '../../src/io/safetensors.ts';
import { adaptiveWeight, adversarialBackward } from '../../src/losses/adaptive-weight.ts';
import { diffAugment } from '../../src/losses/diff-augment.ts';
import { discriminatorAccuracy, discriminatorLosses, generatorLoss } from '../../src/losses/gan.ts';
import type { Lpips } from '../../src/losses/lpips.ts';
import { lpipsFromWeights } from '../../src/losses/lpips-weights.ts';
import { LatentStatistics, MomentumStatistics, mergeMomentumStatistics } from '../../src/metrics/statistics.ts';
import { backward, dispose, grad, type Tensor, tidy } from '../../src/tensor/index.ts';
import { type Entry, expectClose, type Fixture, type Limits, requireData, runArea } from './harness.ts';
import { lpipsHashWeights } from './lpips-hash.ts';
import { discKinds } from './training-disc.ts';
import { optimKinds } from './training-optim.ts';
import { stage1Kinds } from './training-stage1.ts';
import { stage2TrainingKinds } from './training-stage2.ts';

function latentStatistics(entry: Entry, fixture: Fixture): void {
  type Case = { case: number; batch_sizes_per_rank: number[][]; momentum: number };
  const limits = entry.tolerance as Limits;
  for (const c of entry.config.cases as Case[]) {
    const all = new LatentStatistics({ blockSize: 5 });
    const ranks = c.batch_sizes_per_rank.map((sizes, rank) => {
      const exact = new LatentStatistics();
      const momentum = new MomentumStatistics({ momentum: c.momentum });
      for (const i of sizes.keys()) {
        const batch = fixture.get(`inputs/${c.case}/rank${rank}/batch${i}`);
        for (const statistics of [exact, momentum, all]) statistics.add(batch);
      }
      const at = `outputs/${c.case}/rank${rank}`;
      expectClose(exact.result().mean, fixture.get(`${at}/exact_mean_f64`), { atol: 1e-12 }, `${at} exact mean`);
      expectClose(exact.result().variance, fixture.get(`${at}/exact_var_f64`), { atol: 1e-12 }, `${at} exact variance`);
      expectClose(momentum.result().mean, fixture.get(`${at}/running_mean`), limits, `${at} running mean`);
      expectClose(momentum.result().variance, fixture.get(`${at}/running_var`), limits, `${at} running variance`);
      return { exact, momentum };
    });
    const merged = mergeMomentumStatistics(ranks.map(({ momentum }) => momentum.result()));
    expectClose(merged.mean, fixture.get(`outputs/${c.case}/merged_mean`), limits, 'merged mean');
    expectClose(merged.variance, fixture.get(`outputs/${c.case}/merged_var`), limits, 'merged variance');
    const [first, ...rest] = ranks.map(({ exact }) => exact) as [LatentStatistics, ...LatentStatistics[]];
    for (const other of rest) first.merge(other);
    for (const statistics of [first, all]) {
      expectClose(statistics.result().mean, fixture.get(`outputs/${c.case}/exact_mean_f64`), { atol: 1e-12 }, 'mean');
      expectClose(statistics.result().variance, fixture.get(`outputs/${c.case}/exact_var_f64`), { atol: 1e-12 }, 'var');
    }
    for (const { exact, momentum } of ranks) dispose([exact.result(), momentum.result()]);
  }
}

/** Bytes to [-1, 1]. */
function signed(bytes: Tensor): Tensor {
  return bytes.to('f32').div(127.5).sub(1);
}

/** The sizes for which an entry holds inputs (`inputs/64/a`). */
function sizesOf(fixture: Fixture): string[] {
  return [...new Set([...fixture.group('inputs').keys()].map((name) => name.slice(0, name.indexOf('/'))))];
}

function lpipsPairs(entry: Entry, fixture: Fixture, lpips: Lpips): void {
  const { outputs, grads } = entry.tolerance as { outputs: Limits; grads: Limits };
  for (const size of sizesOf(fixture)) {
    tidy(() => {
      const [a, b] = [signed(fixture.get(`inputs/${size}/a`)), signed(fixture.get(`inputs/${size}/b`))];
      expectClose(lpips.forward(a, b), fixture.get(`outputs/${size}/total`), outputs, `${size} total`);
      expectClose(lpips.layers(a, b), fixture.get(`outputs/${size}/layers`), outputs, `${size} layers`);
      if (fixture.has(`outputs/${size}/self`))
        expectClose(lpips.forward(a, a), fixture.get(`outputs/${size}/self`), outputs, `${size} self`);
      const gradients = { a: `grads/${size}/a`, b: `grads/${size}/b-of-mean` };
      if (fixture.has(gradients.a)) {
        const x = a.clone().setRequiresGrad();
        const [g] = grad([lpips.forward(x, b).sum()], [x]) as [Tensor];
        expectClose(g, fixture.get(gradients.a), grads, gradients.a);
      }
      if (fixture.has(gradients.b)) {
        const [x, y] = [a.clone().setRequiresGrad(), b.clone().setRequiresGrad()]; // both at once: the shared pass
        const [, g] = grad([lpips.forward(x, y).mean()], [x, y]) as [Tensor, Tensor];
        expectClose(g, fixture.get(gradients.b), grads, gradients.b);
      }
    });
  }
}

function lpipsSqueeze(entry: Entry, fixture: Fixture): void {
  const lpips = tidy(() => lpipsFromWeights(loadSafetensors(requireData(entry.config.weights as string))));
  lpipsPairs(entry, fixture, lpips);
  lpips.dispose();
}

function lpipsPackage(entry: Entry, fixture: Fixture): void {
  const lpips = tidy(() =>
    lpipsFromWeights(lpipsHashWeights(entry.config.net as string, entry.config.hash_prefix as string)),
  );
  lpipsPairs(entry, fixture, lpips);
  lpips.dispose();
}

function lpipsOfficial(entry: Entry, fixture: Fixture): void {
  const { hash_prefix: prefix, hash_names: names } = entry.config as {
    hash_prefix: string;
    hash_names: Record<string, string>;
  };
  const { outputs, grads } = entry.tolerance as { outputs: Limits; grads: Limits };
  const lpips = tidy(() => {
    const hashed = lpipsHashWeights('vgg', prefix);
    // The weights under the class's own names, so that the adapter is tested with them.
    for (const [own, torchvision] of Object.entries(names)) {
      hashed.set(own, hashed.get(torchvision)!);
      hashed.delete(torchvision);
    }
    return lpipsFromWeights(hashed);
  });
  for (const size of sizesOf(fixture)) {
    tidy(() => {
      const real = signed(fixture.get(`inputs/${size}/real`));
      const recon = signed(fixture.get(`inputs/${size}/recon`)).setRequiresGrad();
      const distances = lpips.forward(real, recon);
      expectClose(distances, fixture.get(`outputs/${size}/none`), outputs, `${size} none`);
      expectClose(distances.sum(), fixture.get(`outputs/${size}/sum`), outputs, `${size} sum`);
      expectClose(distances.mean(), fixture.get(`outputs/${size}/mean`), outputs, `${size} mean`);
      const [g] = grad([distances.mean()], [recon]) as [Tensor];
      expectClose(g, fixture.get(`grads/${size}/recon`), grads, `${size} gradient`);
    });
  }
  lpips.dispose();
}

function ganLosses(entry: Entry, fixture: Fixture): void {
  const limits = entry.tolerance as Limits;
  const logits = (name: string) => fixture.get(`inputs/logits_${name}`).clone().setRequiresGrad();
  for (const reduction of ['mean', 'sum'] as const) {
    for (const [name, loss] of Object.entries(discriminatorLosses)) {
      const [real, fake] = [logits('real'), logits('fake')];
      const value = loss(real, fake, { reduction });
      expectClose(value, fixture.get(`outputs/d-${name}-${reduction}`), limits, `${name} ${reduction}`);
      const gradients = grad([value], [real, fake]) as [Tensor, Tensor];
      for (const [i, which] of (['real', 'fake'] as const).entries()) {
        const stored = fixture.get(`grads/d-${name}-${reduction}/logits_${which}`);
        expectClose(gradients[i]!, stored, limits, `${name} ${reduction} gradient ${which}`);
      }
    }
    const fake = logits('fake');
    const value = generatorLoss(fake, { reduction });
    expectClose(value, fixture.get(`outputs/g-vanilla-${reduction}`), limits, `generator ${reduction}`);
    const [g] = grad([value], [fake]) as [Tensor];
    expectClose(g, fixture.get(`grads/g-vanilla-${reduction}/logits_fake`), limits, `generator ${reduction} gradient`);
  }
  const accuracy = discriminatorAccuracy(logits('real'), logits('fake'));
  expectClose(accuracy, fixture.get('outputs/accuracy'), limits, 'accuracy');
  adaptiveWeights(entry, fixture);
}

/** The adaptive weight on a linear decoder, its closed form and as one backward pass. */
function adaptiveWeights(entry: Entry, fixture: Fixture): void {
  type Case = { case: string; scale: number; max_d_weight: number };
  const limits = entry.tolerance as Limits;
  const get = (name: string) => fixture.get(`inputs/aw/${name}`);
  for (const c of (entry.config.adaptive_weight as { cases: Case[] }).cases) {
    const at = `outputs/aw/${c.case}`;
    const graph = () => {
      const W = get('W').clone().setRequiresGrad();
      const recon = get('h').matmul(W.t()).add(get('b'));
      const reconLoss = recon.sub(get('target')).abs().mean();
      const ganLoss = recon.matmul(get('q')).tanh().mul(c.scale).mean().neg();
      return { W, recon, reconLoss, ganLoss };
    };
    tidy(() => {
      const { W, reconLoss, ganLoss } = graph();
      expectClose(reconLoss, fixture.get(`${at}/recon_loss`), limits, `${at} recon`);
      expectClose(ganLoss, fixture.get(`${at}/gan_loss`), limits, `${at} gan`);
      const [gRecon] = grad([reconLoss], [W], { retainGraph: true }) as [Tensor];
      const [gGan] = grad([ganLoss], [W], { retainGraph: true }) as [Tensor];
      const weight = adaptiveWeight(gRecon, gGan, { maxWeight: c.max_d_weight });
      expectClose(weight, fixture.get(`${at}/weight`), limits, `${at} weight`);
      backward(reconLoss.add(ganLoss.mul(0.75 * weight)));
      const once = graph();
      const same = adversarialBackward(
        { parts: 1, reconstruct: () => once.recon, losses: () => once },
        { layer: once.W, ganWeight: 0.75, maxWeight: c.max_d_weight },
      );
      expectClose(same, weight, { rtol: 1e-6 }, `${at} weight in one pass`);
      expectClose(once.W.grad!, W.grad!, { atol: 1e-6, rtol: 1e-5 }, `${at} gradient in one pass`);
    });
  }
}

function diffAugmentation(entry: Entry, fixture: Fixture): void {
  type Run = { run: string; prob: number; cutout: number };
  const limits = entry.tolerance as Limits;
  for (const { run, prob, cutout } of entry.config.runs as Run[]) {
    tidy(() => {
      const group = run.slice(0, run.indexOf('/'));
      const x = fixture.get(`inputs/${group}/x`).clone().setRequiresGrad();
      const uniforms = fixture
        .get(`inputs/${group}/rand01`)
        .unbind(0)
        .map((row) => row.toNumbers());
      const coins = fixture.get(`inputs/${run}/coins`).toNumbers();
      const y = diffAugment(x, { coins, uniforms }, { prob, cutout });
      expectClose(y, fixture.get(`outputs/${run}/y`), limits, run);
      const [g] = grad([y], [x], { gradOutputs: [fixture.get(`inputs/${group}/grad_out`)] }) as [Tensor];
      expectClose(g, fixture.get(`grads/${run}/x`), limits, `${run} gradient`);
    });
  }
}

runArea('training', {
  'latent-stats': latentStatistics,
  'lpips-squeeze': lpipsSqueeze,
  'lpips-package': lpipsPackage,
  'lpips-official': lpipsOfficial,
  'gan-losses': ganLosses,
  diffaug: diffAugmentation,
  ...discKinds,
  ...optimKinds,
  ...stage1Kinds,
  ...stage2TrainingKinds,
});
