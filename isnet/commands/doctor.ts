// `isnet doctor`: what this machine computes on, and whether it computes right and how fast.
import type { Command } from 'commander';
import type { GpuDevice } from '../../engine/gpu-device.ts';
import { possibleVariants } from '../../engine/ops/gemm-variants.ts';
import { loadTuning, saveTuning } from '../../engine/tuning-file.ts';
import { describeEnvironment, type Environment } from '../environment.ts';
import { measureSpeed, type SpeedResult } from '../speed.ts';
import { tuneProducts } from '../tune-products.ts';
import { allWays, tuneWays } from '../tune-ways.ts';
import { commandLine, exitCodes, withDevice } from './session.ts';

const examples = `
Examples:
  isnet doctor          adapter, limits, features and speed
  isnet doctor --json   the same for a bug report
  isnet doctor --tune   find the fastest kernels of this adapter, and use them from now on`;

// What decides how large a model can be and which kernels run; the other limits never bind.
const shownLimits = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupsPerDimension',
] as const;

// Of the longest name of a case.
const WIDTH = 56;

interface Diagnosis {
  readonly environment: Environment;
  readonly driver: string;
  readonly isSoftware: boolean;
  readonly features: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
  readonly speed: readonly SpeedResult[];
  /** When the kernels of this adapter were tuned; null if never. */
  readonly tuned: string | null;
  /** What has changed since then, so that they go by rule again; null if nothing. */
  readonly outdated: string | null;
}

/** Adds `isnet doctor`; `done` takes the exit code. */
export function addDoctorCommand(program: Command, done: (exitCode: number) => void): void {
  program
    .command('doctor')
    .description('show the WebGPU adapter, its limits and features, and measure its speed')
    .option('--json', 'print JSON')
    .option(
      '--tune',
      'measure the kernels for products of matrices and convolutions, and remember the fastest',
    )
    .addHelpText('after', examples)
    .action(async ({ json, tune: isTuned }: { json?: boolean; tune?: boolean }) =>
      done(isTuned ? await tune(json === true) : await doctor(json === true)),
    );
}

/** A line of a table: what was measured, the milliseconds of some columns, and what came of it. */
function timesLine<K extends string>(
  example: string,
  columns: readonly K[],
  ms: Readonly<Partial<Record<K, number>>>,
  outcome: string,
): string {
  const times = columns.map((column) => (ms[column]?.toPrecision(3) ?? '-').padStart(9));
  return `${example.padEnd(WIDTH)}${times.join('')}  ${outcome}`;
}

const headLine = (what: string, columns: readonly string[], outcome: string): string =>
  `\n${what.padEnd(WIDTH)}${columns.map((column) => column.padStart(9)).join('')}  ${outcome}`;

async function tune(isJson: boolean): Promise<number> {
  const log = isJson ? console.error : console.log;
  return withDevice(log, async (device) => {
    log('\nmilliseconds per call, medians; - where a way is not possible');
    const kernels = possibleVariants(device.profile);
    log(headLine('product', kernels, 'fastest'));
    const products = await tuneProducts(device, ({ example, ms, fastest }) =>
      log(timesLine(example, kernels, ms, fastest)),
    );
    log(headLine('convolution', allWays, 'best; the rule is kept unless another way is clearly faster'));
    const tuning = await tuneWays(device, products, {
      onWay: ({ example, ms, best, byRule }) =>
        log(timesLine(example, allWays, ms, best === byRule ? best : `${best}, by rule ${byRule}`)),
    });
    const path = await saveTuning(tuning);
    log(
      `\nfrom now on the best are used for such products and convolutions; delete '${path}' to go back to the defaults`,
    );
    if (isJson) console.log(JSON.stringify(tuning, null, 2));
    return exitCodes.success;
  });
}

async function doctor(isJson: boolean): Promise<number> {
  return withDevice(isJson ? console.error : console.log, async (device) => {
    const diagnosis = await diagnose(device);
    console.log(isJson ? JSON.stringify(diagnosis, null, 2) : describe(diagnosis));
    return exitCodes.success;
  });
}

async function diagnose(device: GpuDevice): Promise<Diagnosis> {
  const { features, limits } = device.raw;
  const isSoftware = device.profile.family === 'software';
  const known = await loadTuning(device);
  return {
    environment: describeEnvironment(device),
    driver: device.driver,
    isSoftware,
    features: [...features].sort(),
    limits: Object.fromEntries(shownLimits.map((name) => [name, limits[name]])),
    speed: await measureSpeed(device, isSoftware),
    tuned: known?.tuning.date ?? null,
    outdated: known?.outdated ?? null,
  };
}

function describe(diagnosis: Diagnosis): string {
  const { environment, driver, features, limits, speed } = diagnosis;
  const { version, node, platform, cpu, cpuCount } = environment;
  return [
    `driver: ${driver || 'not told'}`,
    `isnet-webgpu ${version} on Node ${node}, ${platform}, ${cpuCount} x ${cpu}`,
    '',
    'limits',
    ...Object.entries(limits).map(([name, value]) => `  ${name.padEnd(36)}${value}`),
    '',
    'features',
    `  ${features.join(', ') || 'none'}`,
    '',
    `speed (results checked; median of ${speed[0].samples} samples, wall clock)`,
    ...speed.map(
      ({ name, size, unit, perSecond }) =>
        `  ${name.padEnd(8)}${size.padEnd(36)}${perSecond.toFixed(1)} ${unit}`,
    ),
    '',
    describeTuning(diagnosis),
  ].join('\n');
}

/** Which kernels are taken, and what to do if there may be faster ones. */
export function describeTuning({ tuned, outdated }: Pick<Diagnosis, 'tuned' | 'outdated'>): string {
  const command = `\`${commandLine('doctor --tune')}\``;
  if (tuned === null) return `kernels: by rule; ${command} measures which are fastest here`;
  const day = tuned.slice(0, 10);
  if (outdated === null) return `kernels: as measured on ${day}`;
  return `kernels: by rule; what was measured on ${day} is outdated (${outdated}), ${command} measures anew`;
}
