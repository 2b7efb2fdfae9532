/** An OpenAI-compatible chat endpoint for tests: it answers as it is told, and says what it was asked. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export interface Asked {
  url: string;
  authorization: string | undefined;
  model: string;
  temperature: number;
  messages: { role: string; content: string }[];
}

export interface Answer {
  status?: number;
  content?: string;
  /** Instead of a chat completion. */
  raw?: string;
  headers?: Record<string, string>;
  delayMs?: number;
  /** The connection is cut. */
  hangUp?: boolean;
  tokens?: number;
}

export interface ChatServer {
  endpoint: string;
  asked: Asked[];
  /** Most requests at once so far. */
  most: number;
  answer: (asked: Asked, number: number) => Answer;
  close(): Promise<void>;
}

export async function startChatServer(): Promise<ChatServer> {
  let atOnce = 0;
  const server = createServer((request, response) => {
    let body = "";
    chat.most = Math.max(chat.most, ++atOnce);
    request.on("data", (chunk) => {
      body += chunk;
    });
    request.on("end", () => {
      const { model, temperature, messages } = JSON.parse(body) as Asked;
      const { url = "", headers } = request;
      const asked = { url, authorization: headers.authorization, model, temperature, messages };
      chat.asked.push(asked);
      const answer = chat.answer(asked, chat.asked.length);
      setTimeout(() => {
        atOnce--;
        if (answer.hangUp === true) return void request.socket.destroy();
        response.statusCode = answer.status ?? 200;
        for (const [name, value] of Object.entries(answer.headers ?? {})) response.setHeader(name, value);
        const message = { role: "assistant", content: answer.content ?? "" };
        const usage = answer.tokens === undefined ? {} : { usage: { total_tokens: answer.tokens } };
        response.end(answer.raw ?? JSON.stringify({ choices: [{ message }], ...usage }));
      }, answer.delayMs ?? 0);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const chat: ChatServer = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    asked: [],
    most: 0,
    answer: () => ({ content: "" }),
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
  return chat;
}
