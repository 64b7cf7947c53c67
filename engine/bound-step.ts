// A step of a plan that has been given its buffers, alike for what runs at once and for what is recorded.
import type { BufferBlock } from './buffer-pool.ts';
import type { QueueCommand, Room } from './command-queue.ts';
import type { Operand } from './dispatch.ts';
import type { PreparedDispatch, PreparedPlan } from './program.ts';

/** Where the steps of one plan find their buffers and bind groups. */
export interface StepContext {
  /** The op or ops, for profiles. */
  readonly name: string;
  readonly resolve: (operand: Operand) => Room;
  readonly bind: (dispatch: PreparedDispatch, blocks: readonly BufferBlock[]) => GPUBindGroup;
}

/** The command of one step. */
export function boundStep(
  step: PreparedPlan['steps'][number],
  { name, resolve, bind }: StepContext,
): QueueCommand {
  if ('clear' in step) return { clear: resolve(step.clear) };
  if ('copy' in step) {
    const { copy, from, to, count } = step;
    const [source, target] = [resolve(copy).block, resolve('output').block];
    return { from: source, to: target, fromStart: from, toStart: to, count };
  }
  const { pipeline, workgroups } = step;
  const rooms = step.operands.map(resolve);
  const bindGroup = bind(
    step,
    rooms.map(({ block }) => block),
  );
  const byteCount = rooms.reduce((sum, room) => sum + room.byteCount, 0);
  return { name, pipeline, bindGroup, workgroups, byteCount };
}
