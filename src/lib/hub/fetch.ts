/** Requests to a hub that end: a server may be silent, drip, or send without end. */

/** Bytes of an answer of the hub's interface; a repository's list of files has some thousand. */
const LARGEST_ANSWER = 50_000_000;
/** Bytes a second, over a window of the stall time, below which a download counts as broken off. */
const SLOWEST = 100;

export interface HubLimits {
  /** Seconds without an answer, or for a whole one of the interface; and over which a download's rate is taken. */
  stallSeconds: number;
}

/** For the interface: the whole answer is there in time and of bounded size. */
export function interfaceFetch({ stallSeconds }: HubLimits): typeof fetch {
  return (input, init) => headersInTime(stallSeconds, (signal) => fetch(input, { ...init, signal }), true);
}

/** For files: the answer begins in time; see {@link chunksInTime} for the rest. */
export function fileFetch({ stallSeconds }: HubLimits): typeof fetch {
  return (input, init) => headersInTime(stallSeconds, (signal) => fetch(input, { ...init, signal }), false);
}

async function headersInTime(
  seconds: number,
  request: (signal: AbortSignal) => Promise<Response>,
  whole: boolean,
): Promise<Response> {
  const controller = new AbortController();
  const late = new Error(`it gave no whole answer within ${seconds} seconds`);
  const timer = setTimeout(() => controller.abort(late), 1000 * seconds);
  try {
    const response = await request(controller.signal);
    return whole ? await bounded(response) : response;
  } finally {
    clearTimeout(timer);
  }
}

async function bounded(response: Response): Promise<Response> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (response.body ?? []) as unknown as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > LARGEST_ANSWER) throw new Error(`its answer has more than ${LARGEST_ANSWER} bytes`);
    chunks.push(chunk);
  }
  const { status, statusText, headers } = response;
  const empty = status === 204 || status === 304;
  return new Response(empty ? null : Buffer.concat(chunks), { status, statusText, headers });
}

/** The chunks of a download. @throws Error when too few bytes come in a stall time */
export async function* chunksInTime(
  stream: AsyncIterable<Uint8Array>,
  { stallSeconds }: HubLimits,
): AsyncGenerator<Uint8Array> {
  const chunks = stream[Symbol.asyncIterator]();
  const least = Math.ceil(SLOWEST * stallSeconds);
  let received = 0;
  let windowEnd = performance.now() + 1000 * stallSeconds;
  try {
    for (;;) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_, reject) => {
        const stalled = new Error(`fewer than ${least} bytes came in ${stallSeconds} seconds`);
        timer = setTimeout(() => reject(stalled), Math.max(0, windowEnd - performance.now()));
      });
      const next = await Promise.race([chunks.next(), late]).finally(() => clearTimeout(timer));
      if (next.done) return;
      received += next.value.length;
      if (received >= least) {
        received = 0;
        windowEnd = performance.now() + 1000 * stallSeconds;
      }
      yield next.value;
    }
  } finally {
    // not awaited: a silent server would hold this too
    chunks.return?.()?.catch(() => {});
  }
}
