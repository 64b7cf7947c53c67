// CheXpert (Irvin et al. 2019, arXiv:1901.07031): chest X-rays of Stanford Hospital with fourteen findings each.
import { access, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { parse } from 'csv-parse/sync';
import {
  notPublished,
  ownMask,
  type PublishedData,
  type PublishedImage,
  type PublishedOptions,
  positionsOf,
  splitOf,
} from './published.ts';

const findings = [
  'No Finding',
  'Enlarged Cardiomediastinum',
  'Cardiomegaly',
  'Lung Opacity',
  'Lung Lesion',
  'Edema',
  'Consolidation',
  'Pneumonia',
  'Atelectasis',
  'Pneumothorax',
  'Pleural Effusion',
  'Pleural Other',
  'Fracture',
  'Support Devices',
] as const;

/** Those that the authors of CheXpert compare classifiers on. */
const competition = ['Cardiomegaly', 'Edema', 'Consolidation', 'Atelectasis', 'Pleural Effusion'] as const;

type Row = Readonly<Record<string, string>>;

/**
 * The folder with train.csv and valid.csv. `valid` becomes the test, as radiologists have read it; validation images are those
 * of a share of the training patients. A finding that is not mentioned counts as absent, -1 as uncertain. Frontal views only.
 * Throws DataError if it is another folder.
 */
export async function chexpert(folder: string, options: PublishedOptions): Promise<PublishedData> {
  const classNames = options.classes ?? competition;
  positionsOf(classNames, findings, 'CheXpert');
  const images: PublishedImage[] = [];
  let lateral = 0;
  for (const table of ['train', 'valid']) {
    const text = await readFile(join(folder, `${table}.csv`), 'utf8').catch(() =>
      notPublished(folder, 'CheXpert', `${table}.csv`),
    );
    for (const row of parse(text, { columns: true, bom: true, skip_empty_lines: true }) as Row[]) {
      if (row['Frontal/Lateral'] !== 'Frontal') {
        lateral++;
        continue;
      }
      // Paths begin with the name that the folder was published under, which may be another by now.
      const path = row.Path.split('/').slice(1).join('/');
      const patient = path.split('/').find((part) => part.startsWith('patient')) ?? path;
      images.push({
        file: join(folder, path),
        split: table === 'valid' ? 'test' : splitOf(patient, options.seed, ['val']),
        labels: classNames.map((name) => labelOf(row[name])),
        group: patient,
        mask: ownMask(path, options),
      });
    }
  }
  if (images.length > 0)
    await access(images[0].file).catch(() =>
      notPublished(folder, 'CheXpert', basename(dirname(images[0].file))),
    );
  const notes = [
    'valid.csv is the test; validation images are those of a tenth of the patients of train.csv',
    'findings that are not mentioned count as absent, -1 as uncertain',
    `${lateral} lateral views are left out`,
  ];
  return { classNames, isMultiLabel: true, images, notes };
}

function labelOf(text: string): 0 | 1 | -1 {
  if (text === undefined || text === '') return 0;
  return Number(text) === 1 ? 1 : Number(text) === -1 ? -1 : 0;
}
