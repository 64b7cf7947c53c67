// The three notions everything else is made of: a tensor, the device its numbers live on, and the op that made it.
import type { KernelPlan, KernelRequest } from './dispatch.ts';
import { UsageError } from './errors.ts';
import { formatShape, type Shape } from './shape.ts';

/** A block of numbers on a device. Several tensors share one block when one is a reshape of the other. */
export interface Storage {
  /** Tensors that still need the block; at 0 it goes back to its device. */
  owners: number;
  /** Owners that are recordings of captured steps; see `capture`. */
  pins: number;
  /** Counts overwrites, so that remembered results of old numbers are not reused. */
  version: number;
}

/** Numbers with a shape, as reference implementations see them. */
export interface NdArray {
  readonly shape: Shape;
  readonly data: Float64Array;
}

/**
 * Vector-Jacobian product of one input: the gradient of `sum(g * output)` with respect to that input. Written only
 * with other ops, so that it can be differentiated again. `index` is the input's number (for ops of any arity).
 */
export type Vjp<Attrs> = (
  g: Tensor,
  inputs: readonly Tensor[],
  output: Tensor,
  attrs: Attrs,
  index: number,
) => Tensor;

/** Tiny inputs on which an op proves itself: gradient, gradient of gradient, GPU against reference. */
export interface Example<Attrs> {
  readonly inputs: readonly Shape[];
  readonly attrs?: Attrs;
  /** Range of the random inputs; default [-1, 1]. Choose it away from kinks and poles. */
  readonly range?: readonly [number, number];
  /** Values of inputs that are not free (indices, masks), by input number. */
  readonly fixed?: Readonly<Record<number, readonly number[]>>;
}

/** The whole definition of an op; see `defineOp`. */
export interface Op<Attrs = unknown> {
  readonly name: string;
  /** Shape of the output. Throws ShapeError on bad input; it is the only place where input is checked. */
  readonly shape: (inputs: readonly Shape[], attrs: Attrs) => Shape;
  /** What the op means, in plain f64 loops: fills `out`. */
  readonly reference: (inputs: readonly NdArray[], attrs: Attrs, out: NdArray) => void;
  /** How the op runs on WebGPU. */
  readonly kernel: (request: KernelRequest<Attrs>) => KernelPlan;
  /** One entry per input (the last one stands for all further inputs); null where there is no slope. */
  readonly vjp: readonly (Vjp<Attrs> | null)[];
  readonly examples: readonly Example<Attrs>[];
  /** The output is the input under another shape: no numbers are moved. */
  readonly isView?: boolean;
  /**
   * A product of matrices or a convolution, and so worth remembering: the same inputs in the same step give the recorded result
   * instead of a second run. `recompute` weighs its multiply-adds, too.
   */
  readonly isMemoized?: boolean;
}

/** How a tensor came about: the edge of the recorded graph. */
export interface Origin {
  // biome-ignore lint/suspicious/noExplicitAny: the graph holds ops of every attribute type
  readonly op: Op<any>;
  readonly inputs: readonly Tensor[];
  readonly attrs: unknown;
}

/** The layer call whose result a tensor is. Relevance rules step over the call as a whole. */
export interface LayerCall {
  /** The layer; `nn` gives it its type. */
  readonly layer: object;
  readonly input: Tensor;
  /** The tensors that the layer was applied with. */
  readonly params: Readonly<Record<string, Tensor>>;
}

/** The part of a device that does not depend on hardware: the graph switch and the open scopes. */
export interface Recorder {
  /** While false, results carry no origin: nothing can be differentiated through them. */
  isRecording: boolean;
  /** Tensors made in each open scope, innermost last. */
  readonly frames: Set<Tensor>[];
  nextId: number;
  /** Tensors of the device that are not released yet. */
  liveCount: number;
  /** While a step is captured: what takes note of its ops in place of the device. */
  trace: (OpSink & { readonly id: number }) | null;
}

/** Where ops go: a device, or the trace of a captured step. */
export interface OpSink {
  /** The storage of `op`'s result, of shape `shape`. */
  run(op: Op<unknown>, inputs: readonly Tensor[], attrs: unknown, shape: Shape): Storage;
  /** Copies the numbers of one tensor over those of another of the same size, in order with the ops. */
  copy(source: Tensor, target: Tensor): void;
}

/** What a device holds; see `Device.memory`. */
export interface MemoryReport {
  /** Bytes taken from the driver, in use or pooled. */
  readonly heldBytes: number;
  /** Bytes of the blocks in use: by live tensors, and by recordings of captured steps for their results. */
  readonly usedBytes: number;
  /** Highest value that `usedBytes` has had. */
  readonly peakBytes: number;
  /** Blocks in use. A tensor and its reshapes share one; the results of a recording share few. */
  readonly blockCount: number;
  /** Live tensors: a tensor and its reshapes each count, and so do the inputs of recordings. */
  readonly tensorCount: number;
}

/** Where tensors live and ops run. */
export interface Device extends OpSink {
  readonly kind: 'cpu' | 'webgpu' | 'meta';
  /** Name for logs and reports, e.g. `SwiftShader (software, google swiftshader, 4 subgroup lanes)`. */
  readonly description: string;
  readonly recorder: Recorder;
  /** Of a meta device: the device whose numbers its functions meet, scalars above all. */
  readonly home?: Device;
  /** Scalars that ops use as operands (`mul(x, 2)`), made once per value. */
  readonly constants: Map<number, Tensor>;
  upload(values: ArrayLike<number>, shape: Shape): Storage;
  release(storage: Storage): void;
  /** Numbers of the tensors, row-major. Rejects with DeviceError when the device is lost. */
  read(tensors: readonly Tensor[]): Promise<Float64Array[] | Float32Array[]>;
  /** Submits what is encoded so far. */
  flush(): void;
  memory(): MemoryReport;
  close(): Promise<void>;
}

/** A contiguous, row-major block of real numbers. Made by ops and by `tensor(device, ...)`; see `scope` for its life. */
export class Tensor {
  readonly id: number;
  readonly shape: Shape;
  readonly device: Device;
  /** Null once released. */
  storage: Storage | null;
  /** Null for leaves (parameters, data) and for results made while nothing was recorded. */
  origin: Origin | null;
  /** Set by layers while recording. */
  call: LayerCall | null = null;
  /** Remembered results by op, attributes and inputs; see `Op.isMemoized`. */
  memo: Map<string, Tensor> | null = null;

  constructor(device: Device, shape: Shape, storage: Storage, origin: Origin | null) {
    this.id = device.recorder.nextId++;
    this.device = device;
    this.shape = shape;
    this.storage = storage;
    this.origin = origin;
    storage.owners++;
    device.recorder.liveCount++;
    device.recorder.frames.at(-1)?.add(this);
  }

  get isReleased(): boolean {
    return this.storage === null;
  }

  toString(): string {
    const made = this.origin ? ` of op '${this.origin.op.name}'` : '';
    return `tensor ${formatShape(this.shape)}${made} on ${this.device.description}`;
  }
}

/** Gives a tensor's numbers back to its device. Using it afterwards is a UsageError; releasing twice does nothing. */
export function release(t: Tensor): void {
  const storage = t.storage;
  if (!storage) return;
  t.storage = null;
  t.memo = null;
  t.device.recorder.liveCount--;
  storage.owners--;
  if (storage.owners === 0) t.device.release(storage);
}

/** The storage of a live tensor. Throws UsageError, naming `where`, when the tensor was released. */
export function storageOf(where: string, t: Tensor): Storage {
  if (!t.storage) {
    throw new UsageError(
      `${where}: the ${t} was released; return it from its scope, keep() it, or pass it to backward's retain`,
    );
  }
  return t.storage;
}
