import { homedir } from "node:os";
import { join } from "node:path";

/**
 * Folder for what can be fetched again (models, native libraries). Not created here.
 * $RLPT_CACHE, else $XDG_CACHE_HOME/rlpt, else the platform's place (~/.cache/rlpt on Linux).
 */
export function cacheDir(): string {
  const named = process.env["RLPT_CACHE"];
  if (named) return named;
  const xdg = process.env["XDG_CACHE_HOME"];
  if (xdg) return join(xdg, "rlpt");
  if (process.platform === "darwin") return join(homedir(), "Library", "Caches", "rlpt");
  const local = process.env["LOCALAPPDATA"];
  if (process.platform === "win32" && local) return join(local, "rlpt");
  return join(homedir(), ".cache", "rlpt");
}
