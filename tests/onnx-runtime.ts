// Runs ONNX files with onnxruntime, in WebAssembly: the judge of what we export.
import { env, InferenceSession, Tensor } from 'onnxruntime-web';

env.wasm.numThreads = 1;
env.logLevel = 'error';

export interface RuntimeResult {
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

/** The one output of a model for one input. */
export async function runOnnx(
  bytes: Uint8Array,
  values: ArrayLike<number>,
  shape: readonly number[],
): Promise<RuntimeResult> {
  const session = await InferenceSession.create(bytes);
  try {
    const [input] = session.inputNames;
    const feeds = { [input]: new Tensor('float32', Float32Array.from(values), shape) };
    const { dims, data } = (await session.run(feeds))[session.outputNames[0]];
    return { dims, data: Float32Array.from(data as Float32Array) };
  } finally {
    await session.release();
  }
}
