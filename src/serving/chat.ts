/** `rlpt chat`: questions of a person, replies of a policy, until one of them goes. */
import { RlptError } from "../lib/errors.ts";
import type { Conversation, Reply } from "./conversation.ts";

/** Where the person sits. */
export interface ChatPerson {
  /** The next question; null: the person has gone. */
  ask(): Promise<string | null>;
  part(text: string): void;
  /** A reply is whole. */
  done(reply: Reply): void;
  note(text: string): void;
  /** Calls back at each Ctrl-C. */
  onInterrupt(call: () => void): void;
}

const HELP =
  "/reset forgets what was said, /undo takes the last question back, /exit (or Ctrl-D) ends. Ctrl-C ends a reply, not the chat.";

export async function chat(conversation: Conversation, person: ChatPerson): Promise<void> {
  let replying = false;
  let cancelled = false;
  person.onInterrupt(() => {
    if (replying) cancelled = true;
    else person.note(HELP);
  });
  for (;;) {
    const question = await person.ask();
    if (question === null || question === "/exit" || question === "/quit") return;
    if (question.trim() === "") continue;
    if (question === "/reset" || question === "/undo") {
      if (question === "/reset") conversation.reset();
      else conversation.undo();
      person.note(`${conversation.messages.length} messages are left`);
      continue;
    }
    if (question.startsWith("/") && !/\s/.test(question)) {
      person.note(`${question === "/help" ? "" : `${question} is no command. `}${HELP}`);
      continue;
    }
    replying = true;
    cancelled = false;
    try {
      const reply = await conversation.say(question, person.part, () => cancelled);
      person.done(reply);
    } catch (error) {
      if (!(error instanceof RlptError)) throw error;
      person.note(error.message);
    } finally {
      replying = false;
    }
  }
}
