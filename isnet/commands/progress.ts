// Shows how a run is going: a bar that moves on a terminal, a plain line now and then in a log file.
import { SingleBar } from 'cli-progress';
import type { Role, RunEvent } from '../stage.ts';

/** Takes a run's events and lines of text, and keeps them from writing over each other. */
export interface ProgressDisplay {
  readonly show: (event: RunEvent) => void;
  readonly log: (line: string) => void;
  /** Takes the bar away, e.g. before an error message. */
  readonly stop: () => void;
}

// Often enough to see that it lives, seldom enough for a log that somebody reads.
const MS_PER_LINE = 5000;

const names: Readonly<Record<Role, string>> = {
  classifier: 'classifier',
  'range-copy': 'classifier for C1 and C2',
  isnet: 'ISNet',
};

/** A display for standard output, by whether that is a terminal. */
export function progressDisplay(): ProgressDisplay {
  return process.stdout.isTTY ? barDisplay() : lineDisplay();
}

type StepEvent = Extract<RunEvent, { kind: 'step' }>;
type EpochEvent = Extract<RunEvent, { kind: 'epoch' }>;
type WarningEvent = Extract<RunEvent, { kind: 'warning' }>;

function stepLine({ role, epochs, report, secondsLeft }: StepEvent): string {
  const { epoch, total, imagesPerSecond } = report;
  return `${names[role]}  epoch ${epoch + 1}/${epochs}  loss ${total.toFixed(4)}  ${imagesPerSecond.toFixed(0)} images/s  ${duration(secondsLeft)} left`;
}

function epochLine({ role, epochs, report }: EpochEvent): string {
  const { epoch, train, validation, isBest, isLast, seconds, imagesPerSecond } = report;
  const parts = [`${names[role]}  epoch ${epoch + 1}/${epochs} done`, `loss ${train.total.toFixed(4)}`];
  if (train.heatmap !== null) {
    parts.push(`classification ${train.classification.toFixed(4)}`, `heatmap ${train.heatmap.toFixed(4)}`);
  }
  if (validation) parts.push(`validation ${validation.total.toFixed(4)}${isBest ? ' (best)' : ''}`);
  parts.push(`${imagesPerSecond.toFixed(0)} images/s`, duration(seconds));
  if (isLast) parts.push('stopping early');
  return parts.join('  ');
}

function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const minutes = Math.floor(whole / 60);
  return minutes > 0 ? `${minutes} min ${whole % 60} s` : `${whole} s`;
}

/** The line of what stays to be read; of the rest each display shows what it can. */
function lineOf(event: EpochEvent | WarningEvent): string {
  return event.kind === 'epoch' ? epochLine(event) : `warning: ${event.text}`;
}

function lineDisplay(): ProgressDisplay {
  let lastMs = performance.now();
  const log = (line: string): void => {
    lastMs = performance.now();
    console.log(line);
  };
  return {
    log,
    stop() {},
    show(event) {
      if (event.kind === 'part') log(`${event.text} ...`);
      else if (event.kind !== 'step') log(lineOf(event));
      else if (performance.now() - lastMs >= MS_PER_LINE) log(stepLine(event));
    },
  };
}

function barDisplay(): ProgressDisplay {
  const bar = new SingleBar({
    format: '{bar} {line}',
    barsize: 20,
    clearOnComplete: true,
    stream: process.stdout,
  });
  let isShown = false;
  const stop = (): void => {
    if (isShown) bar.stop();
    isShown = false;
  };
  const show = (total: number, value: number, line: string): void => {
    if (!isShown) bar.start(total, value, { line });
    isShown = true;
    bar.setTotal(total);
    bar.update(value, { line });
  };
  const log = (line: string): void => {
    stop();
    console.log(line);
  };
  return {
    log,
    stop,
    show(event) {
      if (event.kind === 'part') show(1, 0, `${event.text} ...`);
      else if (event.kind === 'step') show(event.report.stepCount, event.report.step, stepLine(event));
      else log(lineOf(event));
    },
  };
}

/** Counts on standard error while it is a terminal; silent in a pipe, where only the result is wanted. */
export function progressLine(noun: string): { show(done: number, total: number): void; stop(): void } {
  if (!process.stderr.isTTY) return { show() {}, stop() {} };
  const bar = new SingleBar({
    format: `{bar} {value}/{total} ${noun}`,
    barsize: 20,
    clearOnComplete: true,
    stream: process.stderr,
  });
  let isShown = false;
  return {
    show(done, total) {
      if (!isShown) bar.start(total, done);
      isShown = true;
      bar.update(done);
    },
    stop() {
      if (isShown) bar.stop();
    },
  };
}
