// The picture at the end of a run (Node only): test images with the heatmaps of its models, and captions in a text file.
import { writeFileAtomically } from '../engine/files.ts';
import { mosaic, type Picture } from '../lrp/picture.ts';
import { writePng } from '../lrp/png.ts';
import { type ComparisonRow, compareModels, describeRow, type NamedModel } from './comparison-picture.ts';
import { firstOfEachClass } from './data/splits.ts';
import { tellingSet } from './evaluation/model.ts';
import { compositeOf } from './from-config.ts';
import type { RunContext } from './stage.ts';

// More rows than fit on a screen are not looked at.
const MOST_ROWS = 12;

/**
 * Draws the first test image of each class: the image, then one heatmap per model. Where all test sets show the same
 * images, those of the set that tells most stand beside them.
 */
export async function drawTestImages(
  { config, device, data, folder }: RunContext,
  models: readonly NamedModel[],
  log?: (line: string) => void,
): Promise<void> {
  const names = Object.keys(data.tests);
  const other = data.isPaired ? tellingSet(names) : null;
  const [first, ...others] = other === null ? [names[0]] : [names[0], other];
  const indices = firstOfEachClass(data.tests[first]).slice(0, MOST_ROWS);
  const options = { indices, composite: compositeOf(config.isnet) };
  const rowsBySet: ComparisonRow[][] = [];
  for (const set of [first, ...others]) {
    rowsBySet.push(await compareModels(device, models, data.tests[set], options));
  }
  const rows = indices.map((_, i) =>
    rowsBySet.flatMap((rows, s): (Picture | null)[] => [...(s === 0 ? [] : [null]), ...rows[i].pictures]),
  );
  await writePng(folder.picture, mosaic(rows, { gap: 4, background: [128, 128, 128] }));
  const columns = ['image with its mask', ...models.map(({ name }) => `heatmap of the ${name}`)].join(', ');
  const beside = others.map((set) => `, then the same image in ${set} (${columns})`);
  const legend = [
    `columns: test image in ${first} (${columns})${beside.join('')}`,
    'heatmaps: of the predicted class; red for it, blue against it, white is zero; each on its own symmetric scale',
  ];
  const lines = indices.flatMap((_, i) =>
    [first, ...others].flatMap((set, s) => {
      const row = rowsBySet[s][i];
      return describeRow(`row ${i + 1}, ${row.label}, ${set}`, row);
    }),
  );
  await writeFileAtomically(folder.captions, `${[...legend, '', ...lines].join('\n')}\n`);
  for (const line of legend) log?.(line);
  for (const { name } of models) {
    const ranges = rowsBySet
      .flat()
      .flatMap(({ cells }) => cells.filter((cell) => cell.model === name).map(({ range }) => range));
    log?.(
      `|R| of the end colours, ${name}: ${Math.min(...ranges).toPrecision(3)} to ${Math.max(...ranges).toPrecision(3)}`,
    );
  }
}
