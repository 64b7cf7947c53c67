// From a kernel plan to something the GPU can run: programs, pipelines, uniforms and bind groups, each made once.
import type { ShaderTexts } from '../shaders/catalogue.ts';
import type { BufferBlock } from './buffer-pool.ts';
import type { Clear, Dispatch, KernelPlan, Operand } from './dispatch.ts';
import { DeviceError } from './errors.ts';
import { BUFFER_USAGE } from './gpu-flags.ts';

/** A dispatch whose pipeline and uniform exist. */
export interface PreparedDispatch {
  readonly pipeline: GPUComputePipeline;
  readonly params: GPUBuffer;
  readonly operands: readonly Operand[];
  readonly workgroups: readonly [number, number, number];
  readonly bindGroups: Map<string, GPUBindGroup>;
  readonly label: string;
}

export interface PreparedPlan {
  readonly steps: readonly (PreparedDispatch | Clear)[];
  readonly temps: readonly number[];
}

// A dispatch sees few buffer combinations, because the pool hands buffers out in the same order every step.
const BIND_GROUP_LIMIT = 64;

/** Field names of `struct Params { a: u32, ... }` in a program, in order. */
export function paramFields(program: string): string[] {
  const body = /struct Params\s*\{([^}]*)\}/.exec(program)?.[1] ?? '';
  return [...body.matchAll(/(\w+)\s*:\s*u32/g)].map((match) => match[1]);
}

/** Builds and remembers pipelines (by program text), uniforms and bind groups (by buffers). */
export class ProgramCache {
  readonly #device: GPUDevice;
  readonly #texts: ShaderTexts;
  readonly #pipelines = new Map<string, GPUComputePipeline>();
  readonly #uniforms = new Map<string, GPUBuffer>();

  constructor(device: GPUDevice, texts: ShaderTexts) {
    this.#device = device;
    this.#texts = texts;
  }

  /** Number of distinct pipelines compiled so far. */
  get pipelineCount(): number {
    return this.#pipelines.size;
  }

  prepare(op: string, plan: KernelPlan): PreparedPlan {
    const steps = plan.steps.map((step) => ('clear' in step ? step : this.#prepareDispatch(op, step)));
    return { steps, temps: plan.temps ?? [] };
  }

  #prepareDispatch(op: string, dispatch: Dispatch): PreparedDispatch {
    const { shader, operandsShader, operands, workgroups } = dispatch;
    const program = programText(this.#texts, dispatch);
    let pipeline = this.#pipelines.get(program);
    if (!pipeline) {
      const label = operandsShader ? `${shader} ${operandsShader}` : shader;
      const module = this.#device.createShaderModule({ code: program, label });
      const compute = { module, entryPoint: 'main' };
      pipeline = this.#device.createComputePipeline({ layout: 'auto', compute, label });
      this.#pipelines.set(program, pipeline);
    }
    if (workgroups.some((n) => n > this.#device.limits.maxComputeWorkgroupsPerDimension)) {
      throw new DeviceError(
        `${op}: ${workgroups.join('x')} workgroups exceed the adapter's limit; use a smaller batch`,
      );
    }
    const params = this.#uniform(op, program, dispatch.params);
    return { pipeline, params, operands, workgroups, bindGroups: new Map(), label: `${op} ${shader}` };
  }

  /** The uniform buffer holding these numbers. It is never rewritten, so nothing can overtake it. */
  #uniform(op: string, program: string, values: Readonly<Record<string, number>>): GPUBuffer {
    const fields = paramFields(program);
    const words = fields.map((field) => {
      if (!(field in values))
        throw new DeviceError(`${op}: kernel parameter '${field}' has no value; add it to the plan`);
      return values[field];
    });
    const key = words.join();
    const known = this.#uniforms.get(key);
    if (known) return known;
    const size = Math.max(16, Math.ceil(words.length / 4) * 16);
    const buffer = this.#device.createBuffer({ size, usage: BUFFER_USAGE.uniform, mappedAtCreation: true });
    // Negative strides wrap around, as u32 arithmetic in the kernel does.
    new Int32Array(buffer.getMappedRange()).set(words.map((n) => n | 0));
    buffer.unmap();
    this.#uniforms.set(key, buffer);
    return buffer;
  }

  bindGroup(step: PreparedDispatch, blocks: readonly BufferBlock[]): GPUBindGroup {
    let key = '';
    for (const block of blocks) key += `${block.id},`;
    const known = step.bindGroups.get(key);
    if (known) return known;
    const entries: GPUBindGroupEntry[] = [{ binding: 0, resource: { buffer: step.params } }];
    blocks.forEach((block, i) => {
      entries.push({ binding: i + 1, resource: { buffer: block.buffer } });
    });
    const group = this.#device.createBindGroup({ layout: step.pipeline.getBindGroupLayout(0), entries });
    if (step.bindGroups.size >= BIND_GROUP_LIMIT) step.bindGroups.clear();
    step.bindGroups.set(key, group);
    return group;
  }

  destroy(): void {
    for (const buffer of this.#uniforms.values()) buffer.destroy();
    this.#uniforms.clear();
    this.#pipelines.clear();
  }
}

/** The whole WGSL program of a dispatch: language extensions, prelude, operand functions, kernel. */
export function programText(texts: ShaderTexts, { shader, operandsShader, prelude }: Dispatch): string {
  const operands = operandsShader ? texts[operandsShader] : '';
  const body = `${prelude}${operands}${texts[shader]}`;
  const extensions = [...body.matchAll(/^enable .*;$/gm)].map((match) => match[0]);
  return `${extensions.join('\n')}\nalias Real = f32;\n${body.replace(/^enable .*;$/gm, '')}`;
}
