// All methods by name, as published. With other settings: make the method by its function.
import { unknownName } from '../../engine/nearest-name.ts';
import { attentionGated, classifier, maskedInput, oracle, visionTransformer } from './classifiers.ts';
import { gainMethod } from './gain.ts';
import { hamMethod } from './ham.ts';
import { type IsnetSettings, isnetMethods } from './isnets.ts';
import type { Method } from './method.ts';
import { multiTaskMethod } from './multi-task.ts';
import { type RightReasonsOptions, rightReasonsMethod } from './right-reasons.ts';
import { segmentThenClassify } from './segment-then-classify.ts';

/** What can be set in methods that are asked for by name. */
export interface MethodSettings {
  readonly isnet?: IsnetSettings;
  readonly rightReasons?: RightReasonsOptions;
}

/** Every method with these settings: the ordinary classifier and the bounds, what others have proposed, and the ISNets. */
export const methodsWith = ({ isnet, rightReasons }: MethodSettings): readonly Method[] => [
  classifier,
  oracle,
  maskedInput,
  segmentThenClassify,
  multiTaskMethod(),
  attentionGated,
  visionTransformer,
  gainMethod(),
  hamMethod(),
  rightReasonsMethod(rightReasons),
  ...isnetMethods(isnet),
];

export const methods: readonly Method[] = methodsWith({});

/** The method of this name. Throws UsageError, naming the nearest, if there is none. */
export function methodNamed(name: string, among: readonly Method[] = methods): Method {
  const found = among.find((method) => method.name === name);
  if (found) return found;
  throw unknownName(
    'methods: there is no method',
    name,
    among.map((method) => method.name),
  );
}
