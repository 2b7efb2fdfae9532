// Writes models/lab-vision-init: what configs/lab-base-pictures.yaml starts from, weights apart:
//   node tools/lab-vision-files.mjs
import { importTypeScript, root } from "./import-typescript.mjs";

const { main } = await importTypeScript("tools/lab-vision-files.ts");
main(root);
