// `isnet doctor`: what this machine computes on, and whether it computes right and how fast.
import type { Command } from 'commander';
import type { GpuDevice } from '../../engine/gpu-device.ts';
import { describeEnvironment, type Environment } from '../environment.ts';
import { measureSpeed, type SpeedResult } from '../speed.ts';
import { exitCodes, withDevice } from './session.ts';

const examples = `
Examples:
  isnet doctor          adapter, limits, features and speed
  isnet doctor --json   the same for a bug report`;

// What decides how large a model can be and which kernels run; the other limits never bind.
const shownLimits = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupsPerDimension',
] as const;

interface Diagnosis {
  readonly environment: Environment;
  readonly isSoftware: boolean;
  readonly features: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
  readonly speed: readonly SpeedResult[];
}

/** Adds `isnet doctor`; `done` takes the exit code. */
export function addDoctorCommand(program: Command, done: (exitCode: number) => void): void {
  program
    .command('doctor')
    .description('show the WebGPU adapter, its limits and features, and measure its speed')
    .option('--json', 'print JSON')
    .addHelpText('after', examples)
    .action(async ({ json }: { json?: boolean }) => done(await doctor(json === true)));
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
  return {
    environment: describeEnvironment(device),
    isSoftware,
    features: [...features].sort(),
    limits: Object.fromEntries(shownLimits.map((name) => [name, limits[name]])),
    speed: await measureSpeed(device, isSoftware),
  };
}

function describe({ environment, features, limits, speed }: Diagnosis): string {
  const { version, node, platform, cpu, cpuCount } = environment;
  return [
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
  ].join('\n');
}
