/** Faults in words: `configs/x.yaml:14  rollout.group_size = 1: reason; fix.` */
import { dotted, type Fault, type Origin } from "./faults.ts";
import { orList } from "./schema-tree.ts";

const VALUE_LENGTH = 60;

function shown(value: unknown): string {
  // JSON has no words for these three numbers
  const text = typeof value === "number" ? String(value) : (JSON.stringify(value) ?? "nothing");
  return text.length > VALUE_LENGTH ? `${text.slice(0, VALUE_LENGTH - 3)}...` : text;
}

export function originWords(origin: Origin): string {
  return "flag" in origin ? origin.flag : `${origin.file}:${origin.line}`;
}

/** One line, ending in a full stop or a question mark. */
export function faultWords(fault: Fault): string {
  const path = dotted(fault.path);
  const subject =
    fault.value === undefined || fault.value === null ? path : `${path} = ${shown(fault.value)}`;
  const sentence = (reason: string, fix: string): string => {
    const end = /[.?!]$/.test(fix) ? "" : ".";
    const lead = subject === "" ? "" : `${subject}: `;
    return `${originWords(fault.origin)}  ${lead}${reason}; ${fix}${end}`;
  };
  switch (fault.code) {
    case "unknown_key": {
      const start = `${originWords(fault.origin)}  ${path} is not a key`;
      if (fault.elsewhere !== null)
        return `${start} of kind ${fault.elsewhere.here}; kind ${fault.elsewhere.there} has it.`;
      if (fault.suggestion !== null) return `${start}; did you mean ${fault.suggestion}?`;
      return `${start}; there are ${fault.known.join(", ")}.`;
    }
    case "missing": {
      const what = fault.description === null ? "" : `: ${fault.description}`;
      return `${originWords(fault.origin)}  ${path} is missing${what}; add it, ${fault.expected}.`;
    }
    case "type":
      return sentence(`this is ${fault.actual}`, fault.hint ?? `write ${fault.expected}`);
    case "range":
      return sentence(fault.reason, `write ${fault.expected}`);
    case "choice": {
      const choices = fault.options.join(", ");
      if (fault.suggestion === null)
        return sentence("there is no such choice", `write ${orList(fault.options)}`);
      return sentence(`there is no such choice (known: ${choices})`, `did you mean ${fault.suggestion}?`);
    }
    case "check":
      return `${originWords(fault.origin)}  ${subject}: ${fault.reason.replace(/\.$/, "")}.`;
    default:
      return sentence(fault.reason, fault.fix);
  }
}

/** Files in the order they were read, lines from the top, flags last; equal lines only once. */
export function sortFaults(faults: readonly Fault[], files: readonly string[]): Fault[] {
  const rank = (origin: Origin): [number, number] =>
    "flag" in origin ? [files.length + 1, 0] : [files.indexOf(origin.file), origin.line];
  const sorted = [...faults].sort((a, b) => {
    const [fileA, lineA] = rank(a.origin);
    const [fileB, lineB] = rank(b.origin);
    return fileA - fileB || lineA - lineB;
  });
  const seen = new Set<string>();
  return sorted.filter((fault) => {
    const line = faultWords(fault);
    if (seen.has(line)) return false;
    seen.add(line);
    return true;
  });
}
