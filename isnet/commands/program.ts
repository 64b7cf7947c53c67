// The command line as a whole: which commands there are, and what becomes of errors.
import { Command, CommanderError } from 'commander';
import { IsnetError, UsageError } from '../../engine/errors.ts';
import { packageVersion } from '../../engine/package-version.ts';
import { isClone } from '../environment.ts';
import { addAgreementCommand } from './agreement.ts';
import { addCompareCommand } from './compare.ts';
import { addDataCommand } from './data.ts';
import { addDoctorCommand } from './doctor.ts';
import { addEvaluateCommand } from './evaluate.ts';
import { addExplainCommand } from './explain.ts';
import { addExportCommand } from './export.ts';
import { addQuickstartCommand } from './quickstart.ts';
import { exitCodes } from './session.ts';
import { addTrainCommand } from './train.ts';

const examples = `
Examples:
  isnet quickstart                                  the whole method on MNIST, minutes without a GPU
  isnet train --name mine --epochs 8 -P 0.8         your own run, in runs/mine
  isnet explain runs/mine --test-set deceiving      where both models look
  isnet export runs/mine                            the trained model as an ONNX file
  isnet data check my-images                        whether your own images and masks are sound
  isnet doctor                                      which adapter computes, and how fast
${isClone() ? '\nIn a clone `isnet` is `npm run isnet --`.' : ''}
Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.`;

/** Runs the command that `args` (without node and script) ask for. Resolves to the exit code; never rejects. */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  let exitCode: number = exitCodes.success;
  const program = createProgram((code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return exitCodeOf(error);
    console.error(describeError(error, program.opts<{ debug?: boolean }>().debug === true));
    return error instanceof UsageError ? exitCodes.usage : exitCodes.failure;
  }
}

function createProgram(done: (exitCode: number) => void): Command {
  const program = new Command('isnet')
    .description('Image classifiers that learn to ignore backgrounds, on WebGPU.')
    .version(packageVersion(), '-V, --version')
    .option('--debug', 'show the stack of an error')
    .configureHelp({ showGlobalOptions: true })
    .showSuggestionAfterError()
    .exitOverride()
    .addHelpText('after', examples);
  // Options and errors of the program are copied to each command, so they stand first.
  addQuickstartCommand(program, done);
  addTrainCommand(program, done);
  addEvaluateCommand(program, done);
  addExplainCommand(program, done);
  addAgreementCommand(program, done);
  addExportCommand(program, done);
  addCompareCommand(program, done);
  addDataCommand(program, done);
  addDoctorCommand(program, done);
  return program;
}

/** Commander reports wrong usage and the help that was asked for by the same class. */
function exitCodeOf({ code }: CommanderError): number {
  const isAskedFor = ['commander.helpDisplayed', 'commander.version'].includes(code);
  return isAskedFor ? exitCodes.success : exitCodes.usage;
}

function describeError(error: unknown, isDebug: boolean): string {
  if (isDebug && error instanceof Error) return String(error.stack);
  if (error instanceof IsnetError) return `error: ${error.message}`;
  const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
  return `error: ${reason}; this is a bug, run again with --debug and report the stack`;
}
