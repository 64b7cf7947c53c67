// The command line as its users meet it: what it writes, what it says when something is wrong, how it stops.
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mnistFolder } from '../isnet/data/mnist.ts';
import { readPng } from '../lrp/png.ts';
import { isnet, isnetProcess, lossesIn, newFolder, type Outcome, tiny } from './command-line.ts';
import { withoutDriverRemarks } from './driver-remarks.ts';
import { hasGpu } from './gpu.ts';

const hasAdapter = await hasGpu();

const runs = newFolder();
afterAll(() => rmSync(runs, { recursive: true, force: true }));

const train = (...args: string[]): Promise<Outcome> => isnet('train', '--output-dir', runs, ...tiny, ...args);

describe('help', () => {
  test('lists every command, with examples', async () => {
    const { exitCode, output } = await isnet('--help');
    expect(exitCode).toBe(0);
    for (const name of ['quickstart', 'train', 'evaluate', 'explain', 'data', 'doctor'])
      expect(output).toMatch(`\n  ${name} `);
    expect(output).toContain('Examples:');
  });

  test.each(['quickstart', 'train', 'evaluate', 'explain', 'data', 'doctor'])(
    'of %s has examples',
    async (name) => {
      const { exitCode, output } = await isnet(name, '--help');
      expect(exitCode).toBe(0);
      expect(output).toContain(`Examples:\n  isnet ${name}`);
    },
  );
});

describe('wrong usage exits with 2 and', () => {
  test.each([
    ['an unknown command names the nearest', ['trian'], '(Did you mean train?)'],
    ['an unknown option names the nearest', ['train', '--epoch', '3'], '(Did you mean --epochs?)'],
    ['an unknown choice lists the choices', ['train', '--optimizer', 'lion'], 'sgd, adam, adamw'],
    ['a word for a number names the option', ['train', '--lr', 'fast'], '--lr'],
    [
      'a number out of range names the setting',
      ['train', '--lr', '0'],
      'learningRate is 0; use a number above 0',
    ],
    [
      'an impossible P says what P may be',
      ['train', '-P', '1.5'],
      'isnet.P is 1.5; use a number from 0 to 1',
    ],
    ['an impossible range says what it may be', ['train', '--range', '25,1'], '0 < C1 < C2'],
    ['a name with slashes says what a name is', ['train', '--name', '../x'], 'name is "../x"; use letters'],
    ['a missing argument is named', ['evaluate'], "missing required argument 'run|weights'"],
    ['nothing to explain says what to give', ['explain', 'x'], '--test-set'],
    ['no command at all shows the help', [], 'Usage: isnet'],
  ])('%s', async (_, args, text) => {
    const { exitCode, errors } = await isnet(...args);
    expect(errors).toContain(text);
    expect(exitCode).toBe(2);
  });

  test.each([
    ['json', '{ "isnet": { "epocs": 3 } }'],
    ['yaml', 'isnet:\n  epocs: 3 # too few'],
  ])('an unknown setting in a file is named, with those that exist: %s', async (ending, text) => {
    const file = join(runs, `settings.${ending}`);
    writeFileSync(file, text);
    const { exitCode, errors } = await isnet('train', '--config', file);
    expect(errors).toMatch(
      /there is no setting 'epocs' \(did you mean 'epochs'\?\) in 'isnet'; use epochs, batchSize/,
    );
    expect(exitCode).toBe(2);
  });

  test('a file of settings that cannot be read says where it breaks', async () => {
    const file = join(runs, 'broken.yaml');
    writeFileSync(file, 'isnet:\n  epochs: [1, 2\n');
    const { exitCode, errors } = await isnet('train', '--config', file);
    expect(errors).toMatch(
      /^error: train --config: '.*broken\.yaml' is neither YAML nor JSON \(.* at line 3.*\); correct/,
    );
    expect(exitCode).toBe(2);
  });
});

test('a run folder below a file is one sentence and exit code 1', async () => {
  const file = join(runs, 'file');
  writeFileSync(file, '');
  const { exitCode, errors } = await isnet('train', '--output-dir', file, '--name', 'x');
  expect(errors).toMatch(
    /^error: run folder: '.*' cannot be written \(part of the path is a file\); choose .*\n$/,
  );
  expect(exitCode).toBe(1);
});

test('--overwrite keeps its hands off a folder that is no run', async () => {
  const folder = join(runs, 'photos');
  mkdirSync(folder);
  writeFileSync(join(folder, 'cat.jpg'), 'cat');
  const { exitCode, errors } = await train('--name', 'photos', '--overwrite');
  expect(errors).toContain('is not from a run');
  expect(exitCode).toBe(1);
  expect(readdirSync(folder)).toEqual(['cat.jpg']);
});

describe.skipIf(!hasAdapter)('a run', () => {
  let outcome: Outcome;
  const folder = join(runs, 'both');
  const read = (name: string): string => readFileSync(join(folder, name), 'utf8');

  // Trains twice on a software adapter: ten seconds alone, and up to ten times as long on a machine that is as busy. The tests
  // below look at what it left.
  beforeAll(async () => {
    // An eps that is not the default: whoever forgets it gets other numbers.
    outcome = await train('--name', 'both', '--eps', '0.3');
  }, 120_000);

  test('ends well and fills its folder', () => {
    expect(outcome.errors).toBe('');
    expect(outcome.exitCode).toBe(0);
    expect(readdirSync(folder, { recursive: true }).toSorted()).toEqual([
      'MODEL_CARD.md',
      'config.json',
      'data.json',
      'environment.json',
      'evaluation.json',
      'heatmaps',
      'heatmaps/test-images.png',
      'heatmaps/test-images.txt',
      'metrics.csv',
      'metrics.json',
      'metrics.jsonl',
      'report.html',
      'state',
      'state/resume.safetensors',
      'weights',
      'weights/best.safetensors',
      'weights/classifier-best.safetensors',
      'weights/classifier-last.safetensors',
      'weights/last.safetensors',
    ]);
  });

  test('names the adapter, and ends with the table and the picture', () => {
    expect(outcome.output).toMatch(/^adapter: \S/m);
    expect(outcome.output.includes('warning: ')).toBe(/^adapter: .*software/m.test(outcome.output));
    expect(outcome.output).toMatch(/^model +biased +unbiased +deceiving +background relevance$/m);
    expect(outcome.output).toMatch(/^classifier( +0\.\d+| +1\.0+){4}$/m);
    expect(outcome.output).toMatch(/^ISNet( +0\.\d+| +1\.0+){4}$/m);
    expect(outcome.output).toContain(`picture: ${join(folder, 'heatmaps', 'test-images.png')}`);
  });

  test('writes metrics.json in the promised form', () => {
    const metrics = JSON.parse(read('metrics.json'));
    const share = expect.toSatisfy((x) => typeof x === 'number' && x >= 0 && x <= 1);
    const model = {
      accuracy: { biased: share, unbiased: share, deceiving: share },
      backgroundRelevance: { biased: share },
    };
    expect(metrics.models).toEqual([
      { name: 'classifier', ...model },
      { name: 'isnet', ...model },
    ]);
    expect(metrics.adapter).toMatch(/\S/);
    expect(metrics.seconds).toBeGreaterThan(0);
  });

  test('writes one line of metrics.jsonl per epoch and model', () => {
    const lines = read('metrics.jsonl')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map(({ model, epoch }) => `${model} ${epoch}`)).toEqual(['classifier 1', 'isnet 1']);
  });

  test('draws a row per class: two images with two heatmaps each', async () => {
    const { width, height } = await readPng(join(folder, 'heatmaps', 'test-images.png'));
    expect([width, height]).toEqual([6 * 112 + 6 * 4, 10 * 112 + 9 * 4]);
  });

  test('is refused a folder that is taken, and leaves it untouched', async () => {
    const before = read('config.json');
    const { exitCode, errors } = await train('--name', 'both', '--seed', '7');
    expect(errors).toMatch(/^error: run folder: '.*both' exists and is kept; pass --overwrite .*\n$/);
    expect(exitCode).toBe(1);
    expect(read('config.json')).toBe(before);
  });

  test('that is finished shows its table instead of going on', async () => {
    const { exitCode, output } = await isnet('train', '--resume', folder);
    expect(output).toMatch(/is finished:\n\nmodel/);
    expect(exitCode).toBe(0);
  });

  test('is not changed by options when it goes on', async () => {
    const { exitCode, errors } = await isnet('train', '--resume', folder, '--lr', '1');
    expect(errors).toContain('--lr cannot change a run that has begun');
    expect(exitCode).toBe(2);
  });

  test('gives the same numbers when it is evaluated again', async () => {
    const { exitCode, output } = await isnet('evaluate', folder, '--json');
    expect(exitCode).toBe(0);
    expect(JSON.parse(output).models).toEqual(JSON.parse(read('metrics.json')).models);
  });

  const explain = (output: string, ...args: string[]): Promise<Outcome> =>
    isnet('explain', folder, '--output', output, ...args);

  test('explains test images', async () => {
    const output = join(runs, 'grid.png');
    const { exitCode } = await explain(output, '--test-set', 'deceiving', '--indices', '0,5');
    expect(exitCode).toBe(0);
    expect((await readPng(output)).width).toBe(3 * 112 + 2 * 4);
  });

  test('does not overwrite pictures when it explains', async () => {
    const output = join(runs, 'taken.png');
    writeFileSync(output, 'taken');
    const { exitCode, errors } = await explain(output, '--test-set', 'deceiving', '--indices', '0,5');
    expect(errors).toContain('exists and is kept');
    expect(exitCode).toBe(1);
    expect(readFileSync(output, 'utf8')).toBe('taken');
  });

  test('explains no file of another size', async () => {
    const output = join(runs, 'no.png');
    const { errors } = await explain(output, join(folder, 'heatmaps', 'test-images.png'));
    expect(errors).toContain('the model takes 28x28; resize the picture');
    expect(existsSync(output)).toBe(false);
  });

  const why = (output: string, unit: string): Promise<Outcome> =>
    explain(output, '--test-set', 'biased', '--indices', '0', '--why', unit);

  test('prints the table behind one number, whose shares add up', async () => {
    const { exitCode, output } = await why(join(runs, 'why.png'), 'classifier.1:0');
    expect(exitCode).toBe(0);
    expect(output).toMatch(/layer 'classifier.1' \(Linear, rule epsilon\), unit \[0\]: z = /);
    expect(output).toMatch(/^input +x +w +x w +share +relevance$/m);
  });

  test('says where there is a number to look behind', async () => {
    const picture = join(runs, 'unknown.png');
    const { exitCode, errors } = await why(picture, 'fc:0');
    expect(exitCode).toBe(2);
    expect(errors).toContain("no layer 'fc' with a rule on the way; use one of");
    expect(existsSync(picture)).toBe(false);
  });

  test.each(['best', 'classifier-best'])('with a truncated weights file %s is one sentence', async (name) => {
    const copy = join(runs, `truncated-${name}`);
    cpSync(folder, copy, { recursive: true });
    const path = join(copy, 'weights', `${name}.safetensors`);
    writeFileSync(path, readFileSync(path).subarray(0, -10));
    const { exitCode, errors } = await isnet('evaluate', copy);
    expect(errors).toMatch(/^error: load '.*safetensors': .*; .*\n$/);
    expect(exitCode).toBe(1);
  });
});

describe.skipIf(!hasAdapter)('MNIST files that are', () => {
  const names = readdirSync(mnistFolder());

  function folderOf(write: (name: string, path: string) => void): string {
    const folder = newFolder();
    for (const name of names) write(name, join(folder, name));
    return folder;
  }

  async function failure(folder: string): Promise<string> {
    const { exitCode, errors } = await train('--name', 'no-data', '--mnist-folder', folder);
    rmSync(folder, { recursive: true });
    expect(exitCode).toBe(1);
    // Nothing half-written: not even the folder stays.
    expect(existsSync(join(runs, 'no-data'))).toBe(false);
    return errors;
  }

  test('missing are named', async () => {
    expect(await failure(newFolder())).toMatch(
      /^error: loadMnist: .*train-labels-idx1-ubyte is missing; .*\n$/,
    );
  });

  test('cut off are named', async () => {
    const folder = folderOf((name, path) => {
      const source = join(mnistFolder(), name);
      if (name !== 't10k-labels-idx1-ubyte') symlinkSync(source, path);
      else writeFileSync(path, readFileSync(source).subarray(0, 5000));
    });
    expect(await failure(folder)).toMatch(/^error: loadMnist: .*t10k-labels-idx1-ubyte is cut off, .*\n$/);
  });
});

describe.skipIf(!hasAdapter)('an interrupted run', () => {
  const folder = join(runs, 'cut');
  const settings = ['--method', 'classifier', '--epochs', '4'];
  const bytesOf = (run: string, name: string): Buffer => readFileSync(join(runs, run, name));
  let outcome: Outcome;

  // A whole process, because a signal goes to a process. On a busy machine its start alone takes many seconds.
  beforeAll(async () => {
    const args = ['train', '--output-dir', runs, ...tiny, ...settings, '--name', 'cut'];
    outcome = await isnetProcess(args, 'data: ');
  }, 120_000);

  test('exits with 130 and says how to go on', () => {
    expect(withoutDriverRemarks(outcome.errors)).toBe('');
    expect(outcome.output).toContain(`saved; go on with: npm run isnet -- train --resume ${folder}\n`);
    expect(outcome.exitCode).toBe(130);
  });

  test('leaves the last weights, the state and no results', () => {
    expect(existsSync(join(folder, 'weights', 'last.safetensors'))).toBe(true);
    expect(existsSync(join(folder, 'state', 'resume.safetensors'))).toBe(true);
    expect(existsSync(join(folder, 'metrics.json'))).toBe(false);
  });

  test('stops at a NaN loss, names the step and keeps its saved state', async () => {
    const copy = join(runs, 'diverging');
    cpSync(folder, copy, { recursive: true });
    const config = JSON.parse(readFileSync(join(copy, 'config.json'), 'utf8'));
    config.classifier.learningRate = 1e30;
    writeFileSync(join(copy, 'config.json'), JSON.stringify(config));
    const before = bytesOf('diverging', 'state/resume.safetensors');
    const { exitCode, errors } = await isnet('train', '--resume', copy);
    expect(errors).toMatch(/^error: train: the .* loss is (NaN|Infinity) at step \d+ \(epoch \d\); .*\n$/);
    expect(exitCode).toBe(1);
    expect(bytesOf('diverging', 'state/resume.safetensors').equals(before)).toBe(true);
  });

  // Two runs, each trained and evaluated.
  test('goes on to the same weights as one that was never interrupted', { timeout: 120_000 }, async () => {
    await train(...settings, '--name', 'whole');
    const { exitCode, errors } = await isnet('train', '--resume', folder);
    expect(errors).toBe('');
    expect(exitCode).toBe(0);
    for (const name of ['best', 'last']) {
      const file = `weights/${name}.safetensors`;
      expect(bytesOf('cut', file).equals(bytesOf('whole', file)), file).toBe(true);
    }
    const losses = (run: string) => lossesIn(bytesOf(run, 'metrics.jsonl'));
    expect(losses('cut')).toEqual(losses('whole'));
    const { date, resumed } = JSON.parse(bytesOf('cut', 'environment.json').toString());
    expect(resumed.map((next: { date: string }) => next.date > date)).toEqual([true]);
  });
});
