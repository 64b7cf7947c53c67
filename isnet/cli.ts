#!/usr/bin/env node
// The command `isnet`. Everything it does is in commands/.
import { runCommandLine } from './commands/program.ts';
import { exitCodes } from './commands/session.ts';

// `isnet doctor | head -3` closes the pipe early; that is nobody's mistake and needs no stack.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(exitCodes.failure);
});

// Not process.exit: what is still in the pipe to another program must get there.
process.exitCode = await runCommandLine(process.argv.slice(2));
