import { it } from "vitest";
import { readFileSync, rmSync } from "node:fs";
import { writePictureRun } from "./helpers/picture-run.ts";
import { writeReport } from "../src/report/write-report.ts";
it("draws", async () => {
  rmSync("/var/tmp/pr/fake", { recursive: true, force: true });
  writePictureRun("/var/tmp/pr/fake", (step) => step === 20 ? [{ id: "x", name: "photo", load: () => readFileSync("docs/images/lookup.png") }] : []);
  console.log((await writeReport(["/var/tmp/pr/fake"], "html")).path);
});
