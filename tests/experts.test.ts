// Regions drawn by a person: both file formats, their masks pixel by pixel, and how heatmaps are judged by them.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { CpuDevice, dataOf } from '../engine/cpu-device.ts';
import { tensor } from '../engine/create.ts';
import { DataError } from '../engine/errors.ts';
import { mul } from '../engine/ops/arithmetic.ts';
import { openExpertImages, readAnnotations } from '../isnet/data/files/expert-images.ts';
import { type AgreementOptions, type ExpertImage, measureAgreement } from '../isnet/experts/agreement.ts';
import { maskOf, parseAnnotations, type Region, type RegionShape } from '../isnet/experts/annotations.ts';
import { attributions } from '../lrp/attributions/table.ts';
import { explain } from '../lrp/explain.ts';
import { encodePng } from '../lrp/png.ts';
import { fillNet, smallImages, smallNets } from './small-nets.ts';

const folder = mkdtempSync(join(tmpdir(), 'experts-'));
afterAll(() => rmSync(folder, { recursive: true }));

const region = (shape: RegionShape): Region => ({ shape, label: null, severity: null });
const drawn = (shape: RegionShape, width: number, height: number): string[] => {
  const { data } = maskOf(region(shape), width, height);
  return Array.from({ length: height }, (_, y) =>
    [...data.subarray(y * width, (y + 1) * width)].map((value) => (value === 255 ? '#' : '.')).join(''),
  );
};

describe('masks of regions', () => {
  test('a box has the pixels whose centres it covers, and ends with the image', () => {
    expect(drawn({ box: [1, 1, 2, 1] }, 4, 3)).toEqual(['....', '.##.', '....']);
    expect(drawn({ box: [0.6, 0.4, 2, 1] }, 4, 2)).toEqual(['.##.', '....']);
    expect(drawn({ box: [-3, -3, 5, 4] }, 3, 2)).toEqual(['##.', '...']);
  });

  test('a triangle, a polygon that crosses itself, and two polygons', () => {
    expect(drawn({ polygons: [[0, 0, 4, 0, 0, 4]] }, 4, 4)).toEqual(['###.', '##..', '#...', '....']);
    // Even-odd: what is entered twice is outside.
    const twice = [0, 0, 4, 0, 4, 4, 0, 4, 0, 0, 1, 1, 3, 1, 3, 3, 1, 3, 1, 1];
    expect(drawn({ polygons: [twice] }, 4, 4)).toEqual(['####', '#..#', '#..#', '####']);
    expect(
      drawn(
        {
          polygons: [
            [0, 0, 1, 0, 1, 2, 0, 2],
            [2, 0, 3, 0, 3, 1, 2, 1],
          ],
        },
        3,
        2,
      ),
    ).toEqual(['#.#', '#..']);
  });

  test('run lengths go down the columns', () => {
    expect(drawn({ runs: [1, 2, 3], size: [3, 2] }, 2, 3)).toEqual(['..', '#.', '#.']);
    expect(() => drawn({ runs: [1, 2, 3], size: [3, 2] }, 3, 2)).toThrow(/for 2x3 on an image of 3x2/);
  });
});

describe('annotations', () => {
  test('of our own format', () => {
    const value = {
      images: [
        {
          file: 'a.png',
          regions: [
            { box: [0, 0, 2, 2], severity: 3 },
            { polygon: [0, 0, 1, 0, 1, 1], label: 'x' },
          ],
        },
      ],
    };
    expect(parseAnnotations(value)).toEqual([
      {
        file: 'a.png',
        size: null,
        regions: [
          { shape: { box: [0, 0, 2, 2] }, label: null, severity: 3 },
          { shape: { polygons: [[0, 0, 1, 0, 1, 1]] }, label: 'x', severity: null },
        ],
      },
    ]);
  });

  test("of COCO's, with outlines before boxes, and severities in either place", () => {
    const value = {
      info: { year: 2024 },
      images: [
        { id: 7, file_name: 'b.png', width: 4, height: 3 },
        { id: 8, file_name: 'c.png', width: 0, height: null },
      ],
      categories: [{ id: 1, name: 'lesion' }],
      annotations: [
        {
          id: 1,
          image_id: 7,
          category_id: 1,
          bbox: [0, 0, 1, 1],
          segmentation: [[0, 0, 2, 0, 2, 2]],
          severity: 1,
        },
        {
          id: 2,
          image_id: 7,
          category_id: 2,
          bbox: [0, 0, 1, 1],
          attributes: { severity: 2, occluded: false },
        },
        { id: 3, image_id: 8, segmentation: { counts: [0, 16], size: [4, 4] }, iscrowd: 1 },
      ],
    };
    expect(parseAnnotations(value)).toEqual([
      {
        file: 'b.png',
        size: [3, 4],
        regions: [
          { shape: { polygons: [[0, 0, 2, 0, 2, 2]] }, label: 'lesion', severity: 1 },
          { shape: { box: [0, 0, 1, 1] }, label: '2', severity: 2 },
        ],
      },
      {
        file: 'c.png',
        size: null,
        regions: [{ shape: { runs: [0, 16], size: [4, 4] }, label: null, severity: null }],
      },
    ]);
  });

  test.each([
    [{}, /images: /],
    [{ images: [{ file: 'a', regions: [{}] }] }, /images.0.regions.0: give a box or a polygon/],
    [{ images: [{ file: 'a', regions: [{ box: [0, 0, 0, 1] }] }] }, /images.0.regions.0.box.2/],
    [
      { images: [{ file: 'a', regions: [{ polygon: [0, 0, 4, 0, 4, 4, 9] }] }] },
      /images.0.regions.0.polygon: a polygon of 7 numbers; give an x and a y for each corner/,
    ],
    [
      {
        images: [{ id: 1, file_name: 'a' }],
        annotations: [{ image_id: 1, segmentation: [[0, 0, 4, 0, 4, 4, 0, 4, 9]] }],
      },
      /annotations.0.segmentation.0: a polygon of 9 numbers; give an x and a y for each corner/,
    ],
    [
      {
        images: [{ id: 1, file_name: 'a' }],
        annotations: [{ image_id: 1, segmentation: { counts: [4, -1], size: [1, 3] } }],
      },
      /annotations.0.segmentation.counts.1: .*>=0/,
    ],
    [{ images: [], annotations: [{ image_id: 3 }] }, /annotations.0: there is no image 3/],
    [
      { images: [{ id: 1, file_name: 'a' }], annotations: [{ image_id: 1 }] },
      /neither segmentation nor bbox/,
    ],
    [
      {
        images: [{ id: 1, file_name: 'a' }],
        annotations: [{ image_id: 1, segmentation: { counts: 'a c', size: [1, 1] } }],
      },
      /annotations.0: the compressed run lengths are damaged at character 1 of 3/,
    ],
  ])('%j is refused', (value, message) => {
    expect(() => parseAnnotations(value)).toThrow(DataError);
    expect(() => parseAnnotations(value)).toThrow(message);
  });
});

describe('files', () => {
  const frame = { channels: 1, height: 4, width: 4, resize: 'stretch', cropMargin: 0 } as const;
  const write = (name: string, value: unknown): string => {
    const path = join(folder, name);
    writeFileSync(path, typeof value === 'string' ? value : JSON.stringify(value));
    return path;
  };
  // 8 x 8, the right half white.
  const rgba = new Uint8ClampedArray(256).map((_, i) =>
    i % 4 === 3 || Math.floor(i / 4) % 8 >= 4 ? 255 : 0,
  );
  writeFileSync(join(folder, 'half.png'), encodePng({ width: 8, height: 8, rgba }));

  test('an image and its regions shrink together; regions that are not seen any more are left out', async () => {
    const path = write('ours.json', {
      images: [
        {
          file: 'half.png',
          regions: [
            { box: [4, 0, 4, 8], severity: 2 },
            { box: [0, 0, 1, 1], severity: 5 },
          ],
        },
        { file: 'none.png', regions: [] },
      ],
    });
    const said: string[] = [];
    const [image, ...others] = await openExpertImages(folder, await readAnnotations(path), frame, (line) =>
      said.push(line),
    );
    expect(others).toEqual([]);
    expect(said).toEqual(["'none.png' has no region at 4x4; it is left out"]);
    expect(image.regions).toHaveLength(1);
    expect(image.severities).toEqual([2]);
    expect([...image.regions[0]]).toEqual([...image.image].map((value) => (value > 0.5 ? 1 : 0)));
  });

  test('that are missing, damaged or empty are named', async () => {
    await expect(readAnnotations(join(folder, 'missing.json'))).rejects.toThrow(/missing\.json/);
    await expect(readAnnotations(write('damaged.json', '{'))).rejects.toThrow(/damaged\.json' is no JSON/);
    const none = [{ file: 'half.png', size: null, regions: [] }];
    await expect(openExpertImages(folder, none, frame)).rejects.toThrow(/no image has a region/);
    const lost = [{ file: 'lost.png', size: null, regions: [region({ box: [0, 0, 1, 1] })] }];
    await expect(openExpertImages(folder, lost, frame)).rejects.toThrow(/lost\.png' cannot be read/);
  });

  test.each([
    ['a box', { bbox: [4, 0, 4, 8] }],
    ['an outline', { segmentation: [[4, 0, 8, 0, 8, 8, 4, 8]] }],
    ['run lengths', { segmentation: { counts: [32, 32], size: [8, 8] } }],
  ])('of another size than the picture are refused: %s', async (_, drawn) => {
    const opened = (size: object, annotation: object = drawn) => {
      const images = [{ id: 1, file_name: 'half.png', ...size }];
      const annotated = parseAnnotations({ images, annotations: [{ image_id: 1, ...annotation }] });
      return openExpertImages(folder, annotated, frame);
    };
    const masks = [await opened({ width: 8, height: 8 }), await opened({})];
    for (const [image] of masks)
      expect([...image.regions[0]]).toEqual([0, 1, 2, 3].flatMap(() => [0, 0, 1, 1]));
    await expect(opened({ width: 16, height: 8 })).rejects.toThrow(DataError);
    await expect(opened({ width: 16, height: 8 })).rejects.toThrow(
      "annotations: 'half.png' is 8x8, and its regions were drawn on 16x8; use the images that were annotated",
    );
    const runs = { segmentation: { counts: [32, 32], size: [16, 4] } };
    await expect(opened({}, runs)).rejects.toThrow(/'half.png' is 8x8, and its regions were drawn on 4x16/);
  });
});

describe('agreement', () => {
  const device = new CpuDevice();
  const net = smallNets.plain(device).train();
  fillNet(net, { withBias: true });
  const pixels = Float32Array.from(smallImages().slice(0, 64));
  const map = [...dataOf(explain(net.eval(), tensor(device, pixels, [1, 1, 8, 8])).relevance)];
  net.train();
  const byRelevance = map.map((_, i) => i).toSorted((a, b) => map[b] - map[a]);
  const maskAt = (places: readonly number[]): Uint8Array =>
    Uint8Array.from({ length: 64 }, (_, i) => (places.includes(i) ? 1 : 0));
  const image = (
    regions: Uint8Array[],
    severities: (number | null)[] = regions.map(() => null),
  ): ExpertImage => ({
    file: 'x.png',
    image: pixels,
    channels: 1,
    height: 8,
    width: 8,
    regions,
    labels: regions.map(() => null),
    severities,
  });
  const judge = async (
    regions: Uint8Array[],
    severities?: (number | null)[],
    options: AgreementOptions = {},
  ) => (await measureAgreement(device, net, [image(regions, severities)], options)).images[0];

  test('is whole where the expert drew the most relevant pixels, and none elsewhere', async () => {
    const positive = byRelevance.filter((i) => map[i] > 0);
    const best = await judge([maskAt(positive.slice(0, 9)), maskAt(positive.slice(9))]);
    expect(best.massAccuracy).toBeCloseTo(1, 12);
    expect(best).toMatchObject({ rankAccuracy: 1, isPointing: true, severityCorrelation: null });
    const worst = await judge([maskAt(byRelevance.slice(-10))]);
    expect(worst).toMatchObject({ rankAccuracy: 0, isPointing: false });
    expect(worst.massAccuracy).toBeLessThan(0.1);
  });

  test('mass is the share of positive relevance in any region, counted once', async () => {
    const places = byRelevance.slice(3, 20);
    const share = (of: readonly number[]) => of.reduce((sum, i) => sum + Math.max(0, map[i]), 0);
    const { massAccuracy } = await judge([maskAt(places), maskAt(places.slice(2, 9))]);
    expect(massAccuracy).toBeCloseTo(share(places) / share(byRelevance), 12);
  });

  test('correlates density with severity by ranks', async () => {
    const regions = [0, 20, 40].map((from) => maskAt(byRelevance.slice(from, from + 5 + from / 5)));
    expect((await judge(regions, [3, 2, 1])).severityCorrelation).toBeCloseTo(1, 12);
    expect((await judge(regions, [1, 3, 2])).severityCorrelation).toBeCloseTo(-0.5, 12);
    expect((await judge(regions, [2, 2, 2])).severityCorrelation).toBeNull();
    expect((await judge(regions.slice(1), [1, 2])).severityCorrelation).toBeNull();
    // A region that nobody has graded plays no part.
    expect((await judge(regions, [3, null, 1])).severityCorrelation).toBeNull();
    const more = [...regions, maskAt(byRelevance.slice(0, 2))];
    expect((await judge(more, [3, 2, 1, null])).severityCorrelation).toBeCloseTo(1, 12);
  });

  test.each(Object.entries(attributions))('judges maps by %s', async (_, attribution) => {
    net.eval();
    const whole = dataOf(attribution(net, tensor(device, pixels, [1, 1, 8, 8]), { target: 1 }));
    net.train();
    const places = [...whole.keys()].filter((i) => i % 3 === 0);
    const positive = (of: readonly number[]) => of.reduce((sum, i) => sum + Math.max(0, whole[i]), 0);
    const { massAccuracy, regions } = await judge([maskAt(places)], [null], { attribution, target: 1 });
    expect(massAccuracy).toBeCloseTo(positive(places) / positive([...whole.keys()]), 12);
    expect(regions).toHaveLength(1);
    expect(regions[0].density).toBeCloseTo(positive(places) / places.length, 12);
    expect(net.isTraining).toBe(true);
  });

  describe('of regions with labels', () => {
    const regions = [0, 20, 40].map((from) => maskAt(byRelevance.slice(from, from + 5)));
    const labelled = (labels: readonly (string | null)[]): ExpertImage => ({
      ...image(regions.slice(0, labels.length)),
      labels,
    });
    const classNames = ['cat', 'dog', '0'];
    const measure = (labels: (string | null)[], options: AgreementOptions) =>
      measureAgreement(device, net, [labelled(labels)], { classNames, ...options });

    test('counts those of the class that is explained, by name or number, and those without a label', async () => {
      const masses = async (labels: (string | null)[], options: AgreementOptions) =>
        (await measure(labels, options)).images[0].massAccuracy;
      const own = async (shown: readonly Uint8Array[], target: number) =>
        (await judge([...shown], undefined, { target })).massAccuracy;
      expect(await masses(['dog', 'cat', null], { target: 1 })).toBe(await own([regions[0], regions[2]], 1));
      expect(await masses(['dog', 'cat', '1'], { target: 1 })).toBe(await own([regions[0], regions[2]], 1));
      expect(await masses(['dog', 'cat', null], { target: 0 })).toBe(await own(regions.slice(1), 0));
      // A name comes first: here 0 is the last class.
      expect(await masses(['dog', '0'], { target: 2 })).toBe(await own([regions[1]], 2));
      expect((await measure(['dog', '0'], { target: 0 })).count).toBe(0);
    });

    test('goes by what the model predicts where nothing else is asked for', async () => {
      net.eval();
      const logits = [...dataOf(net.forward(tensor(device, pixels, [1, 1, 8, 8])))];
      net.train();
      const predicted = logits.indexOf(Math.max(...logits));
      const [own, others] = [classNames[predicted], classNames.filter((_, k) => k !== predicted)];
      const found = await measure([others[0], own, others[1]], {});
      expect(found.images).toHaveLength(1);
      expect(found.images[0]).toMatchObject({ explained: predicted, regions: [{ severity: null }] });
      expect(found.images[0].massAccuracy).toBe((await judge([regions[1]])).massAccuracy);
      expect(found.leftOut).toEqual({ regions: 2, images: 0 });
      expect(net.isTraining).toBe(true);
    });

    test('leaves out images without any, and says how much it was', async () => {
      const images = [labelled(['dog', 'cat']), labelled(['bird', 'cat', '7']), labelled(['dog'])];
      const found = await measureAgreement(device, net, images, { classNames, target: 1 });
      expect(found).toMatchObject({ count: 2, leftOut: { regions: 4, images: 1 } });
      const none = await measureAgreement(device, net, images.slice(1, 2), { classNames, target: 1 });
      expect(none).toMatchObject({ count: 0, leftOut: { regions: 3, images: 1 }, images: [] });
      expect([none.massAccuracy.value, none.rankAccuracy.value, none.pointingGame.value]).toEqual([
        null,
        null,
        null,
      ]);
    });

    test('counts others where they are asked for', async () => {
      const found = await measure(['bird', 'cat', null], { target: 1, labels: ['bird', 'fish'] });
      expect(found.leftOut).toEqual({ regions: 1, images: 0 });
      expect(found.images[0].massAccuracy).toBe(
        (await judge([regions[0], regions[2]], undefined, { target: 1 })).massAccuracy,
      );
    });
  });

  test('an empty map agrees with nothing, and is counted', async () => {
    const empty: AgreementOptions['attribution'] = (_, x) => mul(x, 0);
    const everywhere = maskAt(byRelevance);
    const found = await measureAgreement(device, net, [image([everywhere])], { attribution: empty });
    expect(found).toMatchObject({ count: 1, emptyCount: 1 });
    expect(found.images[0]).toMatchObject({ isEmpty: true, isPointing: false, massAccuracy: 0 });
    expect((await measureAgreement(device, net, [image([everywhere])])).emptyCount).toBe(0);
  });

  test('of several images has intervals, and leaves the model in training', async () => {
    const regions = [0, 20, 40].map((from) => maskAt(byRelevance.slice(from, from + 5)));
    const images = [image(regions, [3, 2, 1]), image(regions.slice(2)), image(regions, [1, 3, 2])];
    const found = await measureAgreement(device, net, images);
    expect(found).toMatchObject({ count: 3, severityCount: 2, pooledSeverityCount: 6 });
    expect(found.severityCorrelation.value).toBeCloseTo(0.25, 12);
    // Both images have the same map: ranks 5.5 5.5 3.5 3.5 1.5 1.5 of density, 5.5 3.5 1.5 1.5 5.5 3.5 of severity.
    expect(found.pooledSeverityCorrelation.value).toBeCloseTo(0.25, 12);
    expect(found.massAccuracy.low).toBeLessThan(found.massAccuracy.value as number);
    expect(found.pointingGame.value).toBeCloseTo(2 / 3, 12);
    expect(net.isTraining).toBe(true);
  });
});
