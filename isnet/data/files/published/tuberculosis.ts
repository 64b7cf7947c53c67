// Tuberculosis X-rays of two hospitals (Jaeger et al. 2014): Montgomery County, USA, with lung masks, and Shenzhen, China,
// whose masks were drawn later (Stirenko et al. 2018). What was learnt at one can be tested at the other.
import { join } from 'node:path';
import {
  namesIn,
  notPublished,
  oneOfClasses,
  ownMask,
  type PublishedData,
  type PublishedImage,
  type PublishedMask,
  type PublishedOptions,
  splitOf,
} from './published.ts';

const classNames = ['normal', 'tuberculosis'] as const;

/**
 * The folder with MontgomerySet, ChinaSet_AllFiles or both. With both, Shenzhen is split into training, validation and test,
 * and all of Montgomery is the test `other-hospital`. The masks of Shenzhen are looked for in ChinaSet_AllFiles/mask. Names
 * end in 1 for tuberculosis, 0 for none. Throws DataError if it is another folder.
 */
export async function tuberculosis(folder: string, options: PublishedOptions): Promise<PublishedData> {
  const shenzhen = (await namesIn(join(folder, 'ChinaSet_AllFiles/CXR_png'))).filter(isPng);
  const montgomery = (await namesIn(join(folder, 'MontgomerySet/CXR_png'))).filter(isPng);
  if (shenzhen.length + montgomery.length === 0) {
    notPublished(folder, 'the tuberculosis sets', 'MontgomerySet/CXR_png or ChinaSet_AllFiles/CXR_png');
  }
  const chinaMasks = new Set(await namesIn(join(folder, 'ChinaSet_AllFiles/mask')));
  const isTransfer = shenzhen.length > 0 && montgomery.length > 0;
  const imageOf = (
    hospital: string,
    name: string,
    mask: PublishedMask | null,
    split: string,
  ): PublishedImage => {
    const path = join(hospital, 'CXR_png', name);
    return {
      file: join(folder, path),
      split,
      labels: oneOfClasses(classNames, /_1\.png$/.test(name) ? 'tuberculosis' : 'normal'),
      // One X-ray of each patient.
      group: name.replace(/_[01]\.png$/, ''),
      mask: mask ?? ownMask(path, options),
    };
  };
  const images = shenzhen.map((name) => {
    const mask = name.replace(/\.png$/, '_mask.png');
    const files = chinaMasks.has(mask) ? [join(folder, 'ChinaSet_AllFiles/mask', mask)] : [];
    return imageOf(
      'ChinaSet_AllFiles',
      name,
      files.length > 0 ? { files, boxes: [] } : null,
      splitOf(name, options.seed),
    );
  });
  for (const name of montgomery) {
    const files = ['leftMask', 'rightMask'].map((side) =>
      join(folder, 'MontgomerySet/ManualMask', side, name),
    );
    const split = isTransfer ? 'test-other-hospital' : splitOf(name, options.seed);
    images.push(imageOf('MontgomerySet', name, { files, boxes: [] }, split));
  }
  const notes = [
    isTransfer
      ? 'Shenzhen: 70 % training, 10 % validation, 20 % test, at random by seed; Montgomery: all in test-other-hospital'
      : 'no split is published: 70 % training, 10 % validation, 20 % test, at random by seed',
  ];
  return { classNames, isMultiLabel: false, images, notes };
}

const isPng = (name: string): boolean => name.endsWith('.png');
