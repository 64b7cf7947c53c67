// Installs the packages of package-lock.json if they are missing or out of date, so that `npm start` and
// `npm test` are the only commands a newcomer needs. Plain JavaScript: it runs before anything is installed.
import { execSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync } from 'node:fs';

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`bootstrap: Node ${process.versions.node} is too old; install Node 20.19 or newer`);
  process.exit(1);
}

const lock = new URL('package-lock.json', import.meta.url);
const installed = new URL('node_modules/.installed-lock.json', import.meta.url);
const isCurrent = existsSync(installed) && readFileSync(installed).equals(readFileSync(lock));
if (!isCurrent) {
  console.log('Installing packages (once) ...');
  try {
    execSync('npm ci --no-audit --no-fund --loglevel=error', {
      stdio: 'inherit',
      cwd: new URL('.', import.meta.url),
    });
  } catch {
    console.error(
      'bootstrap: npm ci failed, see its message above; check the network and run the command again',
    );
    process.exit(1);
  }
  copyFileSync(lock, installed);
}
