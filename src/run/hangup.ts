/** Was this process told to outlive its terminal? Node forgets that nohup had SIGHUP ignored, so it is told by what nohup leaves. */
import { readFileSync, readlinkSync } from "node:fs";
import { basename } from "node:path";

const read = (path: string): string => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
};

/** Open flags of a file descriptor, and the file. Linux only. */
function descriptor(fd: number): { flags: number; file: string } {
  const flags = /^flags:\s*([0-7]+)/m.exec(read(`/proc/self/fdinfo/${fd}`))?.[1] ?? "0";
  try {
    return { flags: Number.parseInt(flags, 8), file: readlinkSync(`/proc/self/fd/${fd}`) };
  } catch {
    return { flags: 0, file: "" };
  }
}

const WRITE_ONLY = 1;

/**
 * True under nohup. Its traces: shells name the command in `_`; a terminal as input becomes a /dev/null that cannot be read; a
 * terminal as output becomes nohup.out; a shell that runs under it hands the ignored signal on.
 * @param child of ours: its parent's end is what counts
 */
export function ignoresHangup(
  env: NodeJS.ProcessEnv = process.env,
  child = process.channel !== undefined && process.channel !== null,
): boolean {
  if (child) return false;
  if (basename(env["_"] ?? "") === "nohup") return true;
  const input = descriptor(0);
  if (input.file === "/dev/null" && (input.flags & 3) === WRITE_ONLY) return true;
  if ([1, 2].some((fd) => basename(descriptor(fd).file) === "nohup.out")) return true;
  const ignored = /^SigIgn:\s*([0-9a-f]+)/m.exec(read(`/proc/${process.ppid}/status`))?.[1] ?? "0";
  // SIGHUP is 1, the lowest bit
  return (Number.parseInt(ignored.slice(-1), 16) & 1) === 1;
}

/** Call once at start: under nohup the loss of the terminal changes nothing. */
export function outliveTerminal(): void {
  if (ignoresHangup()) process.on("SIGHUP", () => {});
}
