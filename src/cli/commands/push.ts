import type { Command } from "commander";
import { ConfigError } from "../../lib/errors.ts";
import { print, printNote } from "../../terminal/terminal.ts";

interface PushFlags {
  checkpoint: string;
  type?: string;
  revision: string;
  private?: boolean;
  dryRun?: boolean;
  card?: string;
}

export function register(program: Command): void {
  program
    .command("push")
    .description(
      "upload a model to the Hugging Face Hub, with a card of recipe, data and held-out evaluation",
    )
    .argument("<target>", "run directory, checkpoint of one, or model directory")
    .argument("<name>", "organisation/name on the Hub; it is made where it does not exist")
    .option("--checkpoint <which>", "of a run directory: latest, best, or a step", "latest")
    .option("--type <type>", "of a run: f32, bf16 or f16 (default: f32); a LoRA adapter is merged")
    .option("--revision <branch>", "the branch; it is made where it does not exist", "main")
    .option("--private", "a repository that is made can be seen by its owners alone")
    .option("--dry-run", "send nothing: print the card and the files with their sizes")
    .option("--card <file>", "write the card to this file, too")
    .action(async (target: string, name: string, flags: PushFlags) => {
      const [{ parseHubId }, { uploadModel, uploadToken, hubAddress }, { packModel }, files] =
        await Promise.all([
          import("../../lib/hub/repository.ts"),
          import("../../lib/hub/upload.ts"),
          import("../pack-model.ts"),
          import("../../lib/files.ts"),
        ]);
      if (parseHubId(name)?.name !== name) {
        throw new ConfigError(
          `${name}: is no name on the Hub: give organisation/name, and a branch by --revision`,
        );
      }
      if (!/^[\w][\w./-]*$/.test(flags.revision) || flags.revision.includes("..")) {
        throw new ConfigError(
          `--revision ${flags.revision}: is no branch's name: use letters, digits, "-", "_", "." and "/"`,
        );
      }
      const token = flags.dryRun ? process.env["HF_TOKEN"] : uploadToken();
      const packed = await packModel(target, name, flags, printNote);
      try {
        if (token && packed.card.includes(token)) {
          throw new ConfigError(
            `${target}: its recipe or provenance holds the value of HF_TOKEN: take it out, and make a new token`,
          );
        }
        if (flags.card !== undefined) files.writeFileAtomic(flags.card, packed.card);
        if (flags.dryRun) {
          if (flags.card === undefined) print(packed.card);
          for (const { path, bytes } of packed.files) print(`${path}  ${bytes.toLocaleString("en")} bytes`);
          print(`nothing was sent; without --dry-run: to ${hubAddress()}/${name}, ${flags.revision}`);
          return;
        }
        const url = await uploadModel({
          name,
          revision: flags.revision,
          private: flags.private ?? false,
          files: packed.files,
          title: `rlpt push: ${packed.what}`,
          onRetry: (reason) => printNote(`the connection broke (${reason}); once more`),
        });
        print(`${packed.files.length} files in ${hubAddress()}/${name}, ${flags.revision}: ${url}`);
      } finally {
        packed.remove();
      }
    });
}
