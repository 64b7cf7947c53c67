// How fast this machine is, roughly: enough to see whether an adapter works and what training will take. Publishable
// numbers come from bench/, which samples more and watches for other load.
import { readAll, tensor } from '../engine/create.ts';
import { DeviceError } from '../engine/errors.ts';
import { add } from '../engine/ops/arithmetic.ts';
import { conv2d } from '../engine/ops/conv.ts';
import { matmul } from '../engine/ops/matmul.ts';
import { randomStream } from '../engine/random-bits.ts';
import { scope, withoutRecording } from '../engine/scope.ts';
import { type Shape, sizeOf } from '../engine/shape.ts';
import { type Device, release, type Tensor } from '../engine/tensor.ts';

/** One measured op; `perSecond` is the median over samples of wall-clock time. */
export interface SpeedResult {
  readonly name: string;
  readonly size: string;
  readonly unit: 'GFLOP/s' | 'GB/s';
  readonly perSecond: number;
  readonly samples: number;
}

interface Probe {
  readonly name: string;
  readonly size: string;
  readonly unit: SpeedResult['unit'];
  /** Floating-point operations or bytes of one call. */
  readonly work: number;
  readonly inputs: readonly Shape[];
  readonly run: (inputs: readonly Tensor[]) => Tensor;
  /** The exact value of one output element, in f64. */
  readonly expected: (inputs: readonly Float32Array[], index: number) => number;
}

const SAMPLE_COUNT = 7;
// Long against the round trip to the device, which every sample contains once.
const SAMPLE_MS = 40;
const CHECKED_COUNT = 16;
// Sums of a few thousand products of numbers in [-1, 1]: f32 rounding stays two orders of magnitude below this.
const TOLERANCE = 1e-3;

function matmulProbe(n: number): Probe {
  return {
    name: 'matmul',
    size: `[${n}, ${n}] x [${n}, ${n}]`,
    unit: 'GFLOP/s',
    work: 2 * n ** 3,
    inputs: [
      [n, n],
      [n, n],
    ],
    run: ([a, b]) => matmul(a, b),
    expected([a, b], index) {
      const [row, column] = [Math.floor(index / n), index % n];
      let sum = 0;
      for (let k = 0; k < n; k++) sum += a[row * n + k] * b[k * n + column];
      return sum;
    },
  };
}

/** 3x3 with padding 1, C channels in and out. */
function convProbe(N: number, C: number, H: number): Probe {
  return {
    name: 'conv2d',
    size: `[${N}, ${C}, ${H}, ${H}] with [${C}, ${C}, 3, 3]`,
    unit: 'GFLOP/s',
    work: 2 * N * C * C * 9 * H * H,
    inputs: [
      [N, C, H, H],
      [C, C, 3, 3],
    ],
    run: ([x, w]) => conv2d(x, w, { padding: 1 }),
    expected([x, w], index) {
      const [column, row] = [index % H, Math.floor(index / H) % H];
      const [out, n] = [Math.floor(index / (H * H)) % C, Math.floor(index / (C * H * H))];
      let sum = 0;
      for (let c = 0; c < C; c++) {
        for (let tap = 0; tap < 9; tap++) {
          const [y, xx] = [row + Math.floor(tap / 3) - 1, column + (tap % 3) - 1];
          if (y < 0 || y >= H || xx < 0 || xx >= H) continue;
          sum += x[((n * C + c) * H + y) * H + xx] * w[(out * C + c) * 9 + tap];
        }
      }
      return sum;
    },
  };
}

function addProbe(count: number): Probe {
  return {
    name: 'add',
    size: `[${count}] + [${count}]`,
    unit: 'GB/s',
    work: 3 * 4 * count,
    inputs: [[count], [count]],
    run: ([a, b]) => add(a, b),
    expected: ([a, b], index) => a[index] + b[index],
  };
}

/**
 * Measures matmul, conv2d and add, after checking their results. Throws DeviceError if a result is wrong. Sizes are
 * small for software adapters, which would take minutes for those of a GPU.
 */
export async function measureSpeed(device: Device, isSoftware: boolean): Promise<SpeedResult[]> {
  const probes = isSoftware
    ? [matmulProbe(256), convProbe(8, 32, 28), addProbe(2 ** 20)]
    : [matmulProbe(2048), convProbe(64, 64, 56), addProbe(2 ** 24)];
  const results: SpeedResult[] = [];
  for (const probe of probes) results.push(await measure(device, probe));
  return results;
}

async function measure(device: Device, probe: Probe): Promise<SpeedResult> {
  const random = randomStream(0, 'speed', probe.name.length);
  const values = probe.inputs.map((shape) =>
    Float32Array.from({ length: sizeOf(shape) }, () => 2 * random.uniform() - 1),
  );
  const inputs = values.map((data, i) => tensor(device, data, probe.inputs[i]));
  const marker = tensor(device, [0], []);
  try {
    await check(device, probe, values, inputs);
    const sample = async (repeats: number): Promise<number> => {
      const startMs = performance.now();
      withoutRecording(device, () => {
        for (let i = 0; i < repeats; i++) scope(device, () => void probe.run(inputs));
      });
      // Read-back waits for everything before it in the queue.
      await readAll([marker]);
      return performance.now() - startMs;
    };
    await sample(1);
    const repeats = Math.max(1, Math.ceil(SAMPLE_MS / (await sample(1))));
    const perSecond: number[] = [];
    for (let i = 0; i < SAMPLE_COUNT; i++)
      perSecond.push((probe.work * repeats) / (await sample(repeats)) / 1e6);
    perSecond.sort((a, b) => a - b);
    const { name, size, unit } = probe;
    return { name, size, unit, perSecond: perSecond[SAMPLE_COUNT >> 1], samples: SAMPLE_COUNT };
  } finally {
    for (const t of [...inputs, marker]) release(t);
  }
}

async function check(device: Device, probe: Probe, values: Float32Array[], inputs: Tensor[]): Promise<void> {
  const output = withoutRecording(device, () => scope(device, () => probe.run(inputs)));
  const [found] = await readAll([output]);
  release(output);
  const random = randomStream(1, 'speed/check');
  for (let i = 0; i < CHECKED_COUNT; i++) {
    const index = random.below(found.length);
    const expected = probe.expected(values, index);
    if (!(Math.abs(found[index] - expected) <= TOLERANCE)) {
      throw new DeviceError(
        `doctor: ${probe.name} ${probe.size} gives ${found[index]} where ${expected} is right; update the driver and report this adapter`,
      );
    }
  }
}
