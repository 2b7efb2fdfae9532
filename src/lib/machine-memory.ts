/** How much memory there is for this process. */
import { readFileSync } from "node:fs";
import { totalmem } from "node:os";

/** The least of the machine's memory and what its control groups leave to this process, bytes; not what happens to be free. */
export function machineMemory(): number {
  return Math.min(totalmem(), ...cgroupLimits());
}

/** Limits of a container, version 2 and 1; none where there are no control groups. */
function cgroupLimits(): number[] {
  return ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"].flatMap((path) => {
    try {
      const limit = Number(readFileSync(path, "utf8").trim());
      return Number.isFinite(limit) && limit > 0 ? [limit] : [];
    } catch {
      return [];
    }
  });
}
