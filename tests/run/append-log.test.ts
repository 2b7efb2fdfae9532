import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { csvLine, openAppendLog, openCsvLog, readCsvTable } from "../../src/run/append-log.ts";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "rlpt-log-"));
  path = join(folder, "log.csv");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("csvLine", () => {
  test("numbers in full precision, what is not finite spelled out, the rest quoted where needed", () => {
    expect(
      csvLine([0.1 + 0.2, -0, 1e-7, Number.NaN, Number.NEGATIVE_INFINITY, true, null, undefined, ""]),
    ).toBe("0.30000000000000004,0,1e-7,NaN,-Infinity,1,,,\n");
    expect(csvLine(['a"b', "c,d", "e\nf"])).toBe('"a""b","c,d","e\nf"\n');
  });
});

describe("openCsvLog", () => {
  test("writes the header at once, rows by column name, and goes on where it stopped", () => {
    const log = openCsvLog(path, ["step", "a", "b"]);
    expect(readFileSync(path, "utf8")).toBe("step,a,b\n");
    log.append({ step: 1, b: "x" }, { a: 2, step: 2 });
    log.close();
    const again = openCsvLog(path, ["step", "a", "b"]);
    expect(again.rows).toBe(2);
    again.append({ step: 3 });
    again.close();
    expect(readFileSync(path, "utf8")).toBe("step,a,b\n1,,x\n2,2,\n3,,\n");
  });

  test("refuses a column that the file does not have", () => {
    const log = openCsvLog(path, ["step"]);
    expect(() => log.append({ step: 1, other: 2 })).toThrow(`${path}: there is no column other.`);
    log.close();
    expect(readFileSync(path, "utf8")).toBe("step\n");
  });

  test("keepRows cuts the rest, also rows with line breaks in their cells", () => {
    const cell = fc.string({ unit: fc.constantFrom('"', "\n", "\r", ",", "a", "é") });
    fc.assert(
      fc.property(fc.array(cell, { maxLength: 8 }), fc.nat(8), (cells, keep) => {
        rmSync(path, { force: true });
        const log = openCsvLog(path, ["text", "n"]);
        log.append(...cells.map((text, n) => ({ text, n })));
        log.close();
        openCsvLog(path, ["text", "n"], keep).close();
        const kept = cells.slice(0, keep).map((text, n) => ({ text, n: String(n) }));
        expect(readCsvTable(path).rows).toEqual(kept);
      }),
      { numRuns: 60 },
    );
  });

  test("a torn last row is cut, wherever it was torn", () => {
    const whole = 'step,text\n1,"a\nb"\n';
    const next = '2,"c ""d""\n"\n';
    for (let length = 0; length < next.length; length++) {
      writeFileSync(path, whole + next.slice(0, length));
      const log = openCsvLog(path, ["step", "text"]);
      expect(log.rows).toBe(1);
      log.close();
      expect(readFileSync(path, "utf8")).toBe(whole);
    }
  });

  test("new columns go behind, earlier rows are blank there", () => {
    const log = openCsvLog(path, ["step", "a"]);
    log.append({ step: 1, a: 0.5 });
    log.addColumns(["a", "b"]);
    log.append({ step: 2, b: 7 });
    expect(log.rows).toBe(2);
    log.close();
    expect(readFileSync(path, "utf8")).toBe("step,a,b\n1,0.5,\n2,,7\n");
  });
});

describe("openAppendLog", () => {
  const options = { quoted: false, header: "" };
  test("JSON lines: quotes do not hide line ends, and keepRows 0 empties the file", () => {
    const log = openAppendLog(path, options);
    log.append('{"a":"\\""}\n{"b":1}\n', 2);
    log.append('{"c":1}\n', 1);
    log.close();
    appendFileSync(path, '{"torn":');
    const kept = openAppendLog(path, { ...options, keepRows: 2 });
    expect(kept.rows).toBe(2);
    kept.close();
    expect(readFileSync(path, "utf8")).toBe('{"a":"\\""}\n{"b":1}\n');
    openAppendLog(path, { ...options, keepRows: 0 }).close();
    expect(readFileSync(path, "utf8")).toBe("");
  });

  test("rows across read buffers are counted", () => {
    const rows = 300;
    writeFileSync(path, `${"x".repeat(1000)}\n`.repeat(rows));
    const log = openAppendLog(path, { ...options, keepRows: 299 });
    expect(log.rows).toBe(299);
    log.close();
    expect(readFileSync(path).length).toBe(299 * 1001);
  });

  test("a folder that is not there: the path and the reason", () => {
    const nowhere = join(folder, "nowhere", "log.jsonl");
    expect(() => openAppendLog(nowhere, options)).toThrow(
      `${nowhere}: cannot open for writing: no such file or directory.`,
    );
    expect(existsSync(nowhere)).toBe(false);
  });
});
