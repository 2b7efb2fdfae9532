/** What commands say and how it is laid out. */
export {
  columnsOf,
  cutToWidth,
  formatBytes,
  formatSeconds,
  padToWidth,
  type TableOptions,
  table,
  terminalWidth,
  visibleWidth,
  wrapText,
} from "./layout.ts";
export {
  colours,
  errorColours,
  print,
  printDocument,
  printError,
  printJson,
  printJsonLine,
  printNote,
  printPart,
  printWarning,
  wantsColour,
} from "./output.ts";
export { visible, visibleLine } from "./visible.ts";
