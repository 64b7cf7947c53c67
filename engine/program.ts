// From a kernel plan to something the GPU can run: programs, pipelines, uniforms and bind groups, each made once.
import type { ShaderTexts } from '../shaders/catalogue.ts';
import type { BufferBlock } from './buffer-pool.ts';
import type { AdapterProfile, Clear, Copy, Dispatch, KernelPlan, Operand } from './dispatch.ts';
import { DeviceError } from './errors.ts';
import { BUFFER_USAGE } from './gpu-flags.ts';
import { mappedBuffer } from './mapped-buffer.ts';
import { attrsKey } from './op.ts';
import { formatShape, type Shape, sizeOf } from './shape.ts';
import type { Op } from './tensor.ts';

/** A dispatch whose pipeline and uniform exist. */
export interface PreparedDispatch {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  readonly params: GPUBuffer;
  readonly operands: readonly Operand[];
  readonly workgroups: readonly [number, number, number];
  readonly bindGroups: Map<string, GPUBindGroup>;
}

/** A plan whose dispatches are prepared; `temps` are sizes in elements. */
export interface PreparedPlan {
  readonly steps: readonly (PreparedDispatch | Clear | Copy)[];
  readonly temps: readonly number[];
}

/** What determines how an op runs, besides the adapter. */
export interface OpCall {
  readonly op: Op<unknown>;
  readonly inputShapes: readonly Shape[];
  readonly attrs: unknown;
  readonly shape: Shape;
}

/** `conv2d [8, 3, 32, 32] [16, 3, 3, 3] -> [8, 16, 32, 32]`: an op in error messages. */
export function describeCall({ op, inputShapes, shape }: OpCall): string {
  return `${op.name} ${inputShapes.map(formatShape).join(' ')} -> ${formatShape(shape)}`;
}

/** A plan, and its prepared form once something has run it. */
interface KnownPlan {
  readonly plan: KernelPlan;
  prepared: PreparedPlan | null;
}

// A dispatch sees few buffer combinations: the pool hands out the same buffers in every step.
const BIND_GROUP_LIMIT = 256;

// Each set of shapes and attributes has a plan. A program that never meets the same set twice must not fill the memory.
const PLAN_LIMIT = 4096;

// A program that fuses other chains in every recording makes other pipelines, too. Trainings need tens of them.
const PIPELINE_LIMIT = 1024;

/** Field names of `struct Params { a: u32, ... }` in a program, in order. */
function paramFields(program: string): string[] {
  const body = /struct Params\s*\{([^}]*)\}/.exec(program)?.[1] ?? '';
  return [...body.matchAll(/(\w+)\s*:\s*u32/g)].map((match) => match[1]);
}

/** Builds and remembers plans (by op, shapes, attributes), pipelines (by program text), uniforms, bind groups (by buffers). */
export class ProgramCache {
  readonly #device: GPUDevice;
  readonly #texts: ShaderTexts;
  readonly #adapter: AdapterProfile;
  /** By op and not by its name: users define ops too, and names may meet. */
  readonly #plans = new Map<Op<unknown>, Map<string, KnownPlan>>();
  #planCount = 0;
  readonly #pipelines = new Map<string, GPUComputePipeline>();
  readonly #uniforms = new Map<string, GPUBuffer>();

  constructor(device: GPUDevice, texts: ShaderTexts, adapter: AdapterProfile) {
    this.#device = device;
    this.#texts = texts;
    this.#adapter = adapter;
  }

  /** Number of distinct pipelines remembered at the moment. */
  get pipelineCount(): number {
    return this.#pipelines.size;
  }

  /** Number of plans remembered at the moment. */
  get planCount(): number {
    return this.#planCount;
  }

  /** How an op runs, as data. Throws what the op's kernel throws. */
  describe(call: OpCall): KernelPlan {
    return this.#known(call).plan;
  }

  /** How an op runs, ready to be encoded. Throws what the op's kernel throws. */
  planOf(call: OpCall): PreparedPlan {
    const known = this.#known(call);
    known.prepared ??= this.prepare(describeCall(call), known.plan);
    return known.prepared;
  }

  #known({ op, inputShapes, attrs, shape }: OpCall): KnownPlan {
    let key = attrsKey(attrs);
    for (const input of inputShapes) key += `|${input.join()}`;
    const known = this.#plans.get(op)?.get(key);
    if (known) return known;
    if (this.#planCount >= PLAN_LIMIT) this.#forgetPlans();
    const request = { inputs: inputShapes, output: shape, attrs, adapter: this.#adapter };
    const plan = sizeOf(shape) === 0 ? { steps: [] } : op.kernel(request);
    const fresh = { plan, prepared: null };
    const plans = this.#plans.get(op) ?? new Map<string, KnownPlan>();
    this.#plans.set(op, plans.set(key, fresh));
    this.#planCount++;
    return fresh;
  }

  #forgetPlans(): void {
    this.#plans.clear();
    this.#planCount = 0;
    // Not destroyed: commands that are not yet submitted may read them. They go with the garbage.
    this.#uniforms.clear();
  }

  /** Compiles what a plan needs. `op` is its name in errors. */
  prepare(op: string, plan: KernelPlan): PreparedPlan {
    const steps = plan.steps.map((step) => ('shader' in step ? this.#prepareDispatch(op, step) : step));
    return { steps, temps: plan.temps ?? [] };
  }

  /** Compiles the pipelines of these dispatches side by side, so that `prepare` finds them. */
  async compile(dispatches: readonly Dispatch[]): Promise<void> {
    const missing = new Map<string, Dispatch>();
    for (const dispatch of dispatches) {
      const program = programText(this.#texts, dispatch);
      if (!this.#pipelines.has(program)) missing.set(program, dispatch);
    }
    await Promise.all(
      [...missing].map(async ([program, dispatch]) => {
        const descriptor = this.#descriptor(program, dispatch);
        const compiled = this.#device.createComputePipelineAsync(descriptor).catch((cause: Error) => {
          throw new DeviceError(
            `webgpu: ${descriptor.label} does not compile (${cause.message.trim()}); this is a bug in the kernel`,
            { cause },
          );
        });
        this.#remember(program, await compiled);
      }),
    );
  }

  #remember(program: string, pipeline: GPUComputePipeline): void {
    // Whoever uses the others keeps them.
    if (this.#pipelines.size >= PIPELINE_LIMIT) this.#pipelines.clear();
    this.#pipelines.set(program, pipeline);
  }

  #descriptor(program: string, { shader, operandsShader }: Dispatch): GPUComputePipelineDescriptor {
    const label = operandsShader ? `${shader} ${operandsShader}` : shader;
    const module = this.#device.createShaderModule({ code: program, label });
    return { layout: 'auto', compute: { module, entryPoint: 'main' }, label };
  }

  #prepareDispatch(op: string, dispatch: Dispatch): PreparedDispatch {
    const { operands, workgroups } = dispatch;
    const program = programText(this.#texts, dispatch);
    let pipeline = this.#pipelines.get(program);
    if (!pipeline) {
      pipeline = this.#device.createComputePipeline(this.#descriptor(program, dispatch));
      this.#remember(program, pipeline);
    }
    if (workgroups.some((n) => n > this.#device.limits.maxComputeWorkgroupsPerDimension)) {
      throw new DeviceError(
        `${op}: ${workgroups.join('x')} workgroups exceed the adapter's limit; use a smaller batch`,
      );
    }
    const params = this.#uniform(op, program, dispatch.params);
    const layout = pipeline.getBindGroupLayout(0);
    return { pipeline, layout, params, operands, workgroups, bindGroups: new Map() };
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
    const room = { size, usage: BUFFER_USAGE.uniform, where: () => op };
    const buffer = mappedBuffer(this.#device, room, (bytes) => {
      // Negative strides wrap around, as u32 arithmetic in the kernel does.
      new Int32Array(bytes).set(words.map((n) => n | 0));
    });
    this.#uniforms.set(key, buffer);
    return buffer;
  }

  /** The remembered bind group of a dispatch with these buffers, in the order of its bindings. */
  bindGroup(step: PreparedDispatch, blocks: readonly BufferBlock[]): GPUBindGroup {
    let key = '';
    for (const block of blocks) key += `${block.id},`;
    const known = step.bindGroups.get(key);
    if (known) return known;
    const group = this.bind(step, blocks);
    if (step.bindGroups.size >= BIND_GROUP_LIMIT) step.bindGroups.clear();
    step.bindGroups.set(key, group);
    return group;
  }

  /** A bind group of its own, for those who keep it. */
  bind({ params, layout }: PreparedDispatch, blocks: readonly BufferBlock[]): GPUBindGroup {
    const entries: GPUBindGroupEntry[] = [{ binding: 0, resource: { buffer: params } }];
    blocks.forEach((block, i) => {
      entries.push({ binding: i + 1, resource: { buffer: block.buffer } });
    });
    return this.#device.createBindGroup({ layout, entries });
  }

  destroy(): void {
    for (const buffer of this.#uniforms.values()) buffer.destroy();
    this.#uniforms.clear();
    this.#pipelines.clear();
  }
}

/** The whole WGSL program of a dispatch: language extensions, prelude, operand functions, kernel. */
function programText(texts: ShaderTexts, { shader, operandsShader, prelude }: Dispatch): string {
  const operands = operandsShader ? texts[operandsShader] : '';
  const body = `${prelude}${operands}${texts[shader]}`;
  const extensions = [...body.matchAll(/^enable .*;$/gm)].map((match) => match[0]);
  return `${extensions.join('\n')}\nalias Real = f32;\n${body.replace(/^enable .*;$/gm, '')}`;
}
