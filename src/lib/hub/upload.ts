/** A model's files to the Hub: repository, branch, one commit. */
import { pathToFileURL } from "node:url";
import { commit, createBranch, createRepo, HUB_URL, HubApiError } from "@huggingface/hub";
import { ConfigError, RlptError } from "../errors.ts";
import { printableLine } from "../printable.ts";
import { interfaceFetch } from "./fetch.ts";
import { networkReason } from "./repository.ts";

export interface UploadFile {
  /** In the repository. */
  path: string;
  /** On this machine, or the text itself. */
  content: { file: string } | { text: string };
}

export interface UploadRequest {
  /** "organisation/name". */
  name: string;
  /** A branch; it is made where it does not exist. */
  revision: string;
  private: boolean;
  files: readonly UploadFile[];
  title: string;
  onRetry(reason: string): void;
}

const ATTEMPTS = 3;
const LIMITS = { stallSeconds: 60 };

/** The address of the Hub, as downloads take it. */
export const hubAddress = (): string => process.env["HF_ENDPOINT"] ?? HUB_URL;

/** @throws ConfigError without HF_TOKEN */
export function uploadToken(): string {
  const token = process.env["HF_TOKEN"]?.trim();
  if (!token) {
    throw new ConfigError(
      `HF_TOKEN is not set, and ${hubAddress()} takes no files without: make a token with write access on its settings page and export HF_TOKEN`,
    );
  }
  if (!token.startsWith("hf_"))
    throw new ConfigError("HF_TOKEN does not begin with hf_: it is no token of the Hub");
  return token;
}

/**
 * A repository that exists is added to. Large files that arrived in an attempt that broke off are not sent again.
 * @returns the commit's address
 * @throws RlptError: no access, a refused request, or a connection that broke three times
 */
export async function uploadModel(request: UploadRequest): Promise<string> {
  const hubUrl = hubAddress();
  const accessToken = uploadToken();
  const { name, revision } = request;
  const access = { hubUrl, accessToken, repo: { type: "model", name } as const };
  const attempt = async <T>(work: () => Promise<T>): Promise<T> => {
    for (let count = 1; ; count++) {
      try {
        return await work();
      } catch (error) {
        const reason = printableLine(
          error instanceof HubApiError
            ? `it answered ${error.statusCode}: ${error.message}`
            : networkReason(error),
        ).replaceAll(accessToken, "HF_TOKEN");
        if (error instanceof HubApiError && error.statusCode < 500)
          throw refusal(error, name, hubUrl, reason);
        if (count === ATTEMPTS) {
          throw new RlptError(
            `${name}: the connection to ${hubUrl} broke ${ATTEMPTS} times (${reason}); what arrived is kept, and the same command goes on from there`,
          );
        }
        request.onRetry(reason);
      }
    }
  };
  const unlessThere = (work: () => Promise<unknown>) =>
    attempt(async () => {
      try {
        await work();
      } catch (error) {
        if (!(error instanceof HubApiError && error.statusCode === 409)) throw error;
      }
    });
  const fetch = interfaceFetch(LIMITS);
  await unlessThere(() =>
    createRepo({ ...access, fetch, ...(request.private ? { visibility: "private" } : {}) }),
  );
  if (revision !== "main") await unlessThere(() => createBranch({ ...access, fetch, branch: revision }));
  const operations = request.files.map(({ path, content }) => ({
    operation: "addOrUpdate" as const,
    path,
    content: "file" in content ? pathToFileURL(content.file) : new Blob([content.text]),
  }));
  // by plain requests, which every server of the protocol knows
  const done = await attempt(() =>
    commit({ ...access, branch: revision, title: request.title, operations, useXet: false }),
  );
  return done?.commit.url ?? `${hubUrl}/${name}`;
}

function refusal(error: HubApiError, name: string, hubUrl: string, reason: string): RlptError {
  const fix =
    error.statusCode === 401
      ? "HF_TOKEN is not valid there: make a new one with write access"
      : error.statusCode === 403
        ? `HF_TOKEN may not write to ${name}: give it write access, or push to a name of your own`
        : "check the name and the revision";
  return new RlptError(`${name}: ${hubUrl} refused it (${reason}); ${fix}`);
}
