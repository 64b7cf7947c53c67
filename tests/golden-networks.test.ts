// Numbers of the authors' code on torchvision's networks: LRP-Flex heatmaps and the ISNet loss, through whole networks.
import { afterAll, beforeAll, test } from 'vitest';
import { openDevice } from '../engine/node-device.ts';
import type { Device } from '../engine/tensor.ts';
import { isModelName } from '../nn/models/index.ts';
import { goldenTensors } from './golden-files.ts';
import { expectFlex } from './golden-flex.ts';
import { namedGoldenNet } from './golden-nets.ts';
import { isThorough } from './thorough.ts';

let gpu: Device;
beforeAll(async () => {
  gpu = await openDevice();
});
afterAll(() => gpu?.close());

const files = goldenTensors('flex_').filter(({ metadata }) => isModelName(metadata.network));

/** One map through each network of moderate size. Ten maps take ten times as long, and a VGG has 130 million weights. */
const isQuick = (name: string) => /_selective_/.test(name) && !/_vgg/.test(name);

for (const golden of files) {
  const isWanted = isThorough || isQuick(golden.name) || golden.name.startsWith('GOLDEN_DIR/');
  test.runIf(isWanted)(golden.name, { timeout: 600_000 }, async () => {
    const net = namedGoldenNet(gpu, golden);
    await expectFlex(gpu, golden, net);
    net.dispose();
  });
}
