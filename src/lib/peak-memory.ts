/** The most memory that this process has held. */
import { readFileSync } from "node:fs";

/**
 * Largest resident set of this process, bytes. On Linux not getrusage's: that of a child begins with what its parent held
 * when it started it.
 */
export function peakMemory(): number {
  try {
    const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
    if (kilobytes !== undefined) return Number(kilobytes) * 1024;
  } catch {
    // not Linux
  }
  return process.resourceUsage().maxRSS * 1024;
}
