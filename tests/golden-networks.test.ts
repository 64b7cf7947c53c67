// Numbers of the authors' code on torchvision's networks: LRP-Flex heatmaps and the ISNet loss, through whole networks.
import { test } from 'vitest';
import { CpuDevice } from '../engine/cpu-device.ts';
import type { Device } from '../engine/tensor.ts';
import { isModelName } from '../nn/models/index.ts';
import { type GoldenTensors, goldenTensors } from './golden-files.ts';
import { expectFlex } from './golden-flex.ts';
import { namedGoldenNet } from './golden-nets.ts';
import { withGpu } from './gpu.ts';
import { isThorough } from './thorough.ts';

let gpu: Device;
withGpu((device) => {
  gpu = device;
});

const files = goldenTensors('flex_').filter(({ metadata }) => isModelName(metadata.network));

/** One map through each network of moderate size. Ten maps take ten times as long, and a VGG has 130 million weights. */
const isQuick = (name: string) => /_selective_/.test(name) && !/_vgg/.test(name);

async function check(device: Device, golden: GoldenTensors): Promise<void> {
  const net = namedGoldenNet(device, golden);
  await expectFlex(device, golden, net);
  net.dispose();
}

for (const golden of files) {
  const isWanted = isThorough || isQuick(golden.name) || golden.name.startsWith('GOLDEN_DIR/');
  test.runIf(isWanted)(golden.name, { timeout: 600_000 }, () => check(gpu, golden));
  // The reference's plain loops take a minute for one map through the smallest of them.
  const isSmall = /resnet18_selective/.test(golden.name);
  test.runIf(isThorough && isSmall)(`${golden.name} in f64`, { timeout: 600_000 }, () =>
    check(new CpuDevice(), golden),
  );
}
