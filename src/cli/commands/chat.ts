import type { Command } from "commander";
import { ConfigError } from "../../lib/errors.ts";
import { flagNumber } from "../../lib/flag-number.ts";
import type { ChatPerson } from "../../serving/chat.ts";
import { colours, print, printJsonLine, printNote, printPart } from "../../terminal/terminal.ts";
import { collect } from "../flags.ts";

interface ChatFlags {
  system?: string;
  maxNewTokens?: string;
  temperature: string;
  topP: string;
  topK: string;
  stop: string[];
  seed: string;
  backend: string;
  checkpoint?: string;
  json?: boolean;
}

export function register(program: Command): void {
  program
    .command("chat")
    .description("talk to a model; what is piped in is one question")
    .argument("<target>", "run directory, checkpoint, config, model directory, .gguf file or Hub id")
    .argument("[question]", "one question instead of a conversation")
    .option("--system <text>", "system message")
    .option("--max-new-tokens <n>", "token limit of a reply; what is left of the context when absent")
    .option("--temperature <t>", "0 is greedy", "0.7")
    .option("--top-p <p>", "nucleus", "0.95")
    .option("--top-k <k>", "the k most likely tokens; 0 is off", "0")
    .option("--stop <text>", "end a reply there; again for more", collect, [])
    .option("--seed <n>", "of the draws", "1")
    .option("--backend <kind>", "tensor engine", "auto")
    .option("--checkpoint <which>", "of a run directory: latest, best, or a step")
    .option("--json", "a line of JSON for each reply")
    .action(async (target: string, question: string | undefined, flags: ChatFlags) => {
      const options = {
        system: flags.system ?? null,
        sampling: {
          temperature: flagNumber("--temperature", flags.temperature, 0, 10, false),
          top_p: flagNumber("--top-p", flags.topP, 1e-9, 1, false),
          top_k: flagNumber("--top-k", flags.topK, 0, 1_000_000, true),
          min_p: 0,
        },
        maxNewTokens:
          flags.maxNewTokens === undefined
            ? null
            : flagNumber("--max-new-tokens", flags.maxNewTokens, 1, 1_000_000, true),
        stop: flags.stop,
        seed: flagNumber("--seed", flags.seed, 0, Number.MAX_SAFE_INTEGER, true),
      };
      const { openLines, pipedInput } = await import("../../terminal/person.ts");
      const single = question ?? (await pipedInput());
      if (single?.trim() === "")
        throw new ConfigError("the question is empty: echo 'What is 7 times 8?' | rlpt chat MODEL");
      const { openPolicy, startNamedBackend } = await import("../../training/open-policy.ts");
      const { Conversation } = await import("../../serving/conversation.ts");
      const { chat } = await import("../../serving/chat.ts");
      await startNamedBackend(flags.backend, printNote);
      const { files, policy, name } = await openPolicy(target, flags.checkpoint, printNote);
      const conversation = new Conversation(policy, files, options);
      const lines = single === null ? openLines("> ") : null;
      const questions = single === null ? [] : [single];
      let failed: string | null = null;
      const person: ChatPerson = {
        ask: () => (lines === null ? Promise.resolve(questions.shift() ?? null) : lines.ask()),
        part: (text) => {
          if (!flags.json) printPart(text);
        },
        done: (reply) => {
          if (flags.json) {
            printJsonLine({
              text: reply.text,
              tokens: reply.tokens.length,
              prompt_tokens: reply.promptTokens,
              kept_tokens: reply.kept,
              end: reply.end,
            });
            return;
          }
          print();
          if (lines !== null || reply.end !== "eos") {
            const kept =
              reply.kept === 0 ? "" : `, ${reply.kept} of ${reply.promptTokens} prompt tokens not read again`;
            printNote(`(${reply.tokens.length} tokens, ended by ${reply.end}${kept})`);
          }
        },
        note: (text) => {
          if (lines === null) failed = text;
          else printNote(text);
        },
        onInterrupt: (call) => (lines === null ? process.on("SIGINT", call) : lines.onInterrupt(call)),
      };
      if (lines !== null) printNote(`${colours.bold(name)}: /help lists the commands`);
      try {
        await chat(conversation, person);
      } finally {
        lines?.close();
        conversation.dispose();
        policy.dispose();
      }
      if (failed !== null) throw new ConfigError(failed);
    });
}
