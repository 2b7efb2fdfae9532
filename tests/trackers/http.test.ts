/** Requests to trackers' servers, and what the environment says of them: keys stay where they belong, and faults come early. */
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, describe, expect, it, vi } from "vitest";
import type { RunFollower, TrackedStep } from "../../src/trackers/follow-run.ts";
import { AwayError, httpServer, ServiceError } from "../../src/trackers/http.ts";
import { mlflowName, mlflowSettings } from "../../src/trackers/mlflow.ts";
import { createSender, LONGEST_WAIT_MS, waitAfter } from "../../src/trackers/sender.ts";
import { type Service, STEPS_AT_ONCE } from "../../src/trackers/service.ts";
import { trackioSettings } from "../../src/trackers/trackio.ts";
import { wandbSettings } from "../../src/trackers/wandb.ts";
import { command } from "../helpers/command.ts";
import { tinyGrpo, workspace } from "../helpers/tiny-run.ts";

const space = workspace();
const closing: (() => void)[] = [];
afterAll(() => {
  for (const close of closing) close();
  space.remove();
});
afterEach(() => vi.unstubAllEnvs());

async function listening(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const SECRET = "s3cret-token";
const asking = (base: string) =>
  httpServer({
    name: "Some",
    base,
    headers: { authorization: `Bearer ${SECRET}` },
    secrets: [SECRET],
    variable: "SOME_URI",
  });
const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => {
      throw new Error("it succeeded");
    },
    (error: Error) => error,
  );

describe("a request", () => {
  it("takes no redirect, which would bring the key to another host", async () => {
    let reached = 0;
    const other = await listening((_, response) => {
      reached++;
      response.end("{}");
    });
    for (const status of [301, 302, 303, 307, 308]) {
      const base = await listening((_, response) =>
        response.writeHead(status, { location: `${other}/x?a=1` }).end(),
      );
      const error = await failure(asking(base)({ path: "y", json: {} }));
      expect(error).toBeInstanceOf(ServiceError);
      expect(error.message).toContain(`sends on to ${other}`);
      expect(error.message).toContain("SOME_URI");
    }
    expect(reached).toBe(0);
  });

  it("has no key in what it says, though the server repeats it", async () => {
    const base = await listening((request, response) =>
      response.writeHead(403).end(`not for ${request.headers.authorization}`),
    );
    const error = (await failure(asking(base)({ path: "y" }))) as ServiceError;
    expect(error).toBeInstanceOf(ServiceError);
    expect(`${error.message} ${error.answer}`).not.toContain(SECRET);
    expect(error.message).toBe(`Some at ${base} answered 403: not for Bearer ***`);
  });

  it("that may succeed later says how long to wait", async () => {
    for (const status of [408, 429, 500, 503]) {
      const base = await listening((_, response) =>
        response.writeHead(status, { "retry-after": "7" }).end("busy"),
      );
      const error = (await failure(asking(base)({ path: "y" }))) as AwayError;
      expect(error).toBeInstanceOf(AwayError);
      expect(waitAfter(error, 1)).toBe(7_000);
    }
    const gone = await failure(asking("http://127.0.0.1:1")({ path: "y" }));
    expect(gone).toBeInstanceOf(AwayError);
    expect([1, 2, 3, 20].map((failures) => waitAfter(gone, failures))).toEqual([
      1_000,
      2_000,
      4_000,
      LONGEST_WAIT_MS,
    ]);
  });
});

describe("sending", () => {
  const step = (at: number): TrackedStep => ({
    index: at,
    step: at,
    wallTime: at,
    evaluation: null,
    metrics: { step: at, wallTime: at, scalars: new Map(), measured: new Map() },
    samples: [],
  });
  const followed = (count: number): RunFollower => {
    const all = Array.from({ length: count }, (_, at) => step(at));
    return { read: () => all.splice(0, 70) };
  };

  it("asks again what is there after each failure, and keeps the order", async () => {
    const did: string[] = [];
    let failures = 2;
    const service: Service = {
      open: async () => void did.push("open"),
      async send(steps) {
        expect(steps.length).toBeLessThanOrEqual(STEPS_AT_ONCE);
        did.push(`${steps[0]!.step}-${steps.at(-1)!.step}`);
        if (steps[0]!.step === 50 && failures-- > 0) throw new AwayError("away");
      },
      end: async (how) => void did.push(how),
      address: () => "",
    };
    const sender = createSender(service, "nowhere", followed(100));
    for (let failed = 0; failed < 2; failed++) expect(await failure(sender.send())).toBeInstanceOf(AwayError);
    await sender.end("finished");
    expect(did).toEqual(["open", "0-49", "50-69", "open", "50-69", "open", "50-69", "70-99", "finished"]);
    expect(sender.steps).toBe(100);
  });
});

describe("the environment", () => {
  const settings = { mlflow: mlflowSettings, trackio: trackioSettings, wandb: wandbSettings };
  it.each<[keyof typeof settings, Record<string, string>, string]>([
    ["mlflow", {}, "MLFLOW_TRACKING_URI is not set"],
    ["mlflow", { MLFLOW_TRACKING_URI: "sqlite:///x.db" }, "no address of a server"],
    ["mlflow", { MLFLOW_TRACKING_URI: "databricks" }, "no address of a server"],
    ["mlflow", { MLFLOW_TRACKING_URI: "http://h", MLFLOW_TRACKING_USERNAME: "a" }, "PASSWORD is not set"],
    ["trackio", {}, "neither TRACKIO_SERVER_URL nor TRACKIO_SPACE_ID"],
    ["trackio", { TRACKIO_SERVER_URL: "http://h" }, "TRACKIO_WRITE_TOKEN is not set"],
    ["trackio", { TRACKIO_SPACE_ID: "a/b" }, "HF_TOKEN is not set"],
    ["trackio", { TRACKIO_SPACE_ID: "a" }, "no USER/SPACE"],
    ["trackio", { TRACKIO_SPACE_ID: "a/b", TRACKIO_SERVER_URL: "http://h" }, "both"],
    ["wandb", {}, "WANDB_API_KEY is not set"],
    ["wandb", { WANDB_API_KEY: "k", WANDB_BASE_URL: "api.wandb.ai" }, "no address of a server"],
    ["wandb", { WANDB_API_KEY: "k", WANDB_PROJECT: "a/b" }, "no name of a project"],
  ])("%s with %j: %s", (name, env, reason) => {
    expect(settings[name](env)).toMatchObject({ reason: expect.stringContaining(reason) as string });
  });

  it("says who asks; what is secret in an address is in no address that is shown", () => {
    expect(mlflowSettings({ MLFLOW_TRACKING_URI: "https://me:pass%21@host:5000/ml/" })).toMatchObject({
      settings: {
        base: "https://host:5000/ml",
        authorization: `Basic ${btoa("me:pass!")}`,
        experiment: "rlpt",
      },
    });
    expect(mlflowSettings({ MLFLOW_TRACKING_URI: "http://h", MLFLOW_TRACKING_TOKEN: "t" })).toMatchObject({
      settings: { authorization: "Bearer t" },
    });
    // the Hub's token goes to Spaces alone
    expect(trackioSettings({ TRACKIO_SERVER_URL: "http://h/?write_token=w", HF_TOKEN: "hf" })).toMatchObject({
      settings: { base: "http://h", writeToken: "w", hubToken: null },
    });
    expect(trackioSettings({ TRACKIO_SPACE_ID: "Me/my_space.x", HF_TOKEN: "hf" })).toMatchObject({
      settings: { base: "https://me-my-space-x.hf.space", writeToken: null, hubToken: "hf" },
    });
    expect(wandbSettings({ WANDB_API_KEY: "k", WANDB_ENTITY: "team" })).toMatchObject({
      settings: { base: "https://api.wandb.ai", entity: "team", project: "rlpt" },
    });
  });

  it("is part of what validate says", async () => {
    for (const name of ["MLFLOW_TRACKING_URI", "WANDB_API_KEY", "TRACKIO_SERVER_URL", "TRACKIO_SPACE_ID"])
      vi.stubEnv(name, "");
    const file = space.write("a.yaml", tinyGrpo.replace("run: {", "run: { track: [mlflow, trackio, wandb],"));
    const { status, out } = await command("validate", file);
    expect(status).toBe(2);
    expect(out).toContain("run.track.0");
    for (const said of [
      "MLFLOW_TRACKING_URI is not set",
      "TRACKIO_SERVER_URL",
      "WANDB_API_KEY is not set",
      "a.yaml:",
    ])
      expect(out).toContain(said);
    const asked = await command("track", space.path("none"), "--to", "mlflow");
    expect(asked.err).toContain("is not a run directory");
  });
});

it.each([
  ["slice/level=1/accuracy", "slice/level-1/accuracy"],
  ["a//b/../c", "a/b/c"],
  ["/lead", "lead"],
  ["grün x:1", "grün x:1"],
  ["a(b)%", "a-b--"],
])("MLflow's name of %s", (name, expected) => expect(mlflowName(name)).toBe(expected));
