import { Argument, type Command } from "commander";
import { print } from "../terminal.ts";

/** Each asks the program itself, so a script does not age. */
const SCRIPTS = {
  bash: `_rlpt() {
  local IFS=$'\\n'
  COMPREPLY=($("$1" completion candidates -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
  [[ \${#COMPREPLY[@]} -eq 1 && \${COMPREPLY[0]} == *[/=] ]] && compopt -o nospace
  return 0
}
complete -F _rlpt rlpt`,
  zsh: `#compdef rlpt
_rlpt() {
  local -a found open
  found=("\${(@f)$("\${words[1]}" completion candidates -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  open=(\${(M)found:#*[/=]})
  found=(\${found:#*[/=]})
  (( \${#open} )) && compadd -S '' -- $open
  (( \${#found} )) && compadd -- $found
}
compdef _rlpt rlpt`,
  fish: `complete -c rlpt -f -a '(rlpt completion candidates -- (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'`,
} as const;

export function register(program: Command): void {
  const completion = program
    .command("completion")
    .description("a script that completes commands, flags, recipes, configs, runs and keys with Tab")
    .addArgument(new Argument("<shell>", "which one").choices(Object.keys(SCRIPTS)))
    .addHelpText(
      "after",
      `
bash: rlpt completion bash > ~/.local/share/bash-completion/completions/rlpt
zsh:  rlpt completion zsh > a folder of $fpath, as _rlpt
fish: rlpt completion fish > ~/.config/fish/completions/rlpt.fish`,
    )
    .action((shell: keyof typeof SCRIPTS) => print(SCRIPTS[shell]));
  completion
    .command("candidates", { hidden: true })
    .argument("[words...]", "behind rlpt, the last one being typed")
    .action(async (words: string[]) => {
      const { complete } = await import("../completion.ts");
      const found = await complete(program, words);
      if (found.length > 0) print(found.join("\n"));
    });
}
