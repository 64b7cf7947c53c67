// The configurations of published data sets, through the run that a user would start: one tiny step on tiny files of each layout.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CpuDevice } from '../engine/cpu-device.ts';
import type { PartialRunConfig } from '../isnet/config.ts';
import { runExperiment } from '../isnet/experiment.ts';
import { completeConfig } from '../isnet/quickstart-config.ts';
import { createRunFolder } from '../isnet/run-folder.ts';
import { isnet } from './command-line.ts';
import { upperHalf, write, writePicture } from './image-files.ts';
import { newFolder, picture } from './published-files.ts';

const range = (count: number): number[] => Array.from({ length: count }, (_, n) => n + 1);
const numbered = (n: number): string => String(n).padStart(5, '0');
const maskAt = (...path: string[]): Promise<string> => writePicture(join(...path), upperHalf(), 8);

/** Writes a few images in the layout of each data set; resolves to what else its import needs. */
const layouts: Readonly<Record<string, (folder: string) => Promise<string[]>>> = {
  async covid(folder) {
    for (const each of ['COVID', 'Normal', 'Viral Pneumonia']) {
      for (const n of range(12)) {
        await picture(folder, each, 'images', `${each}-${n}.png`);
        await maskAt(folder, each, 'masks', `${each}-${n}.png`);
      }
    }
    return [];
  },
  async tuberculosis(folder) {
    for (const n of range(20)) {
      const name = `CHNCXR_${numbered(n)}_${n % 2}`;
      await picture(folder, 'ChinaSet_AllFiles/CXR_png', `${name}.png`);
      await maskAt(folder, 'ChinaSet_AllFiles/mask', `${name}_mask.png`);
    }
    for (const n of range(4)) {
      const name = `MCUCXR_${numbered(n)}_${n % 2}.png`;
      await picture(folder, 'MontgomerySet/CXR_png', name);
      for (const side of ['leftMask', 'rightMask'])
        await maskAt(folder, 'MontgomerySet/ManualMask', side, name);
    }
    return [];
  },
  async chexpert(folder) {
    const findings = ['Cardiomegaly', 'Edema', 'Consolidation', 'Atelectasis', 'Pleural Effusion'];
    const masks = newFolder();
    const header = ['Path', 'Frontal/Lateral', ...findings].join(',');
    for (const [part, patients] of Object.entries({ train: range(24), valid: [101, 102, 103] })) {
      const lines = [header];
      for (const n of patients) {
        const path = `${part}/patient${numbered(n)}/study1/view1_frontal`;
        await picture(folder, `${path}.jpg`);
        await maskAt(masks, `${path}.png`);
        // Each finding is absent, present and uncertain in turn.
        const values = findings.map((_, f) => ['', '1.0', '-1.0'][(n + f) % 3]);
        lines.push([`CheXpert/${path}.jpg`, 'Frontal', ...values].join(','));
      }
      write(join(folder, `${part}.csv`), `${lines.join('\n')}\n`);
    }
    return ['--masks', masks];
  },
  async celeba(folder) {
    const people = range(16);
    const file = (n: number) => `${numbered(n)}.jpg`;
    write(
      join(folder, 'CelebAMask-HQ-attribute-anno.txt'),
      `${people.length}\nSmiling High_Cheekbones Rosy_Cheeks\n${people.map((n) => `${n}.jpg ${n % 2 ? 1 : -1} ${n % 3 ? 1 : -1} ${n % 4 ? -1 : 1}`).join('\n')}\n`,
    );
    write(
      join(folder, 'CelebA-HQ-to-CelebA-mapping.txt'),
      `idx orig_idx orig_file\n${people.map((n) => `${n} ${n} ${file(n)}`).join('\n')}\n`,
    );
    write(
      join(folder, 'list_eval_partition.txt'),
      `${people.map((n) => `${file(n)} ${n <= 10 ? 0 : n <= 13 ? 1 : 2}`).join('\n')}\n`,
    );
    for (const n of people) {
      await picture(folder, 'CelebA-HQ-img', `${n}.jpg`);
      await maskAt(folder, 'CelebAMask-HQ-mask-anno/0', `${numbered(n)}_skin.png`);
    }
    return [];
  },
  async dogs(folder) {
    for (const breed of ['n02085620-Chihuahua', 'n02085782-Japanese_spaniel', 'n02085936-Maltese_dog']) {
      for (const n of range(12)) {
        const name = `${breed.split('-')[0]}_${n}`;
        await picture(folder, 'Images', breed, `${name}.jpg`);
        write(
          join(folder, 'Annotation', breed, name),
          '<annotation><size><width>8</width><height>8</height></size><object><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>6</xmax><ymax>5</ymax></bndbox></object></annotation>',
        );
      }
    }
    return [];
  },
};

// 12 pixels and a tiny network in place of 224 and DenseNet-121; everything else is as it is written.
const training = { batchSize: 16, epochs: 1 };
const reduced: PartialRunConfig = {
  data: { height: 12, width: 12, cropMargin: 1, workers: 1 } as PartialRunConfig['data'],
  model: { kind: 'small-cnn', blocks: [{ channels: 4, kernel: 3, pool: 2 }], hidden: [4] },
  classifier: training,
  isnet: training,
};

test.each(Object.keys(layouts))('a run with the configuration of %s trains both networks', async (name) => {
  const folder = newFolder();
  const published = join(folder, 'published');
  const more = await layouts[name](published);
  const manifest = join(folder, `${name}.csv`);
  const { errors } = await isnet('data', 'import', name, published, '--output', manifest, ...more);
  expect(errors).toBe('');
  const written = JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8'));
  const config = completeConfig([written, reduced], name);
  expect(config.data).toEqual({ ...written.data, ...reduced.data });
  expect(config.isnet).toMatchObject({ ...written.isnet, ...training });

  const run = await createRunFolder(join(folder, 'run'));
  // The CPU device has no programs to compile, which is what takes long in a run of one step.
  const metrics = await runExperiment(config, { device: new CpuDevice(), folder: run });
  expect(metrics?.models.map((model) => model.name)).toEqual(['classifier', 'isnet']);
  const share = expect.toSatisfy((x) => x > 0 && x < 1);
  for (const { backgroundRelevance } of metrics?.models ?? [])
    expect(backgroundRelevance).toMatchObject({ test: share });
  const lines = readFileSync(join(folder, 'run/metrics.jsonl'), 'utf8').trimEnd().split('\n');
  const { train, validation } = JSON.parse(lines[lines.length - 1]);
  expect(train).toMatchObject({ classification: expect.any(Number), heatmap: expect.any(Number) });
  expect(validation).not.toBeNull();
  const weights = (role: string) => readFileSync(join(folder, 'run/weights', role));
  expect(weights('classifier-best.safetensors').equals(weights('best.safetensors'))).toBe(false);
});
