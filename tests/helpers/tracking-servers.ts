/** Servers of trackers, started from the environments that `.ci/run` makes. */
import { type ChildProcess, spawn } from "node:child_process";
import { openSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export interface TrackingServer {
  url: string;
  /** At first it is away. Nothing where it is there already. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Above what importing takes where several people share two cores. */
const START_MS = 240_000;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

interface Spec {
  /** Holds what the server stores, and its output. */
  folder: string;
  /** Answers with 200 once the server is there. */
  health: string;
  command: (port: number) => { program: string; args: string[]; env: Record<string, string> };
}

async function trackingServer({ folder, health, command }: Spec): Promise<TrackingServer> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const log = join(folder, "server.log");
  let child: ChildProcess | null = null;
  const stop = async (): Promise<void> => {
    const running = child;
    child = null;
    if (running === null || running.exitCode !== null || running.signalCode !== null) return;
    const gone = new Promise((resolve) => running.once("exit", resolve));
    // with what it started itself
    process.kill(-running.pid!, "SIGKILL");
    await gone;
  };
  const start = async (): Promise<void> => {
    if (child !== null) return;
    const { program, args, env } = command(port);
    const output = openSync(log, "a");
    child = spawn(program, args, {
      cwd: folder,
      detached: true,
      stdio: ["ignore", output, output],
      env: { ...process.env, ...env },
    });
    const deadline = performance.now() + START_MS;
    while (performance.now() < deadline && child.exitCode === null) {
      const answers = await fetch(`${url}/${health}`).then(
        ({ ok }) => ok,
        () => false,
      );
      if (answers) return;
      await sleep(200);
    }
    await stop();
    throw new Error(`the server did not come up:\n${readFileSync(log, "utf8").slice(-3_000)}`);
  };
  return { url, stop, start };
}

export function mlflowServer(python: string, folder: string): Promise<TrackingServer> {
  return trackingServer({
    folder,
    health: "health",
    command: (port) => ({
      program: python,
      args: [
        ...["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", String(port), "--workers", "1"],
        ...["--backend-store-uri", "sqlite:///mlflow.db"],
        ...["--artifacts-destination", "./artifacts"],
      ],
      env: { MLFLOW_SERVER_ENABLE_JOB_EXECUTION: "false", MLFLOW_DISABLE_TELEMETRY: "true" },
    }),
  });
}

export function trackioServer(python: string, folder: string, writeToken: string): Promise<TrackingServer> {
  return trackingServer({
    folder,
    health: "version",
    command: (port) => ({
      program: python,
      args: [
        "-c",
        `import trackio; trackio.show(server_port=${port}, open_browser=False, block_thread=True)`,
      ],
      env: { TRACKIO_DIR: join(folder, "trackio"), TRACKIO_WRITE_TOKEN: writeToken, HF_HUB_OFFLINE: "1" },
    }),
  });
}
