import { Argument, type Command } from "commander";
import { print } from "../../terminal/terminal.ts";

/** Each asks the program itself, so a script does not age. */
const SCRIPTS = {
  bash: `_rlpt() {
  local IFS=$'\\n' i words=("\${COMP_WORDS[@]:1:COMP_CWORD}")
  COMPREPLY=($("$1" completion candidates -- "\${words[@]//\\\\/}" 2>/dev/null))
  for i in "\${!COMPREPLY[@]}"; do
    [[ \${COMPREPLY[i]} == *' '* ]] && printf -v "COMPREPLY[i]" %q "\${COMPREPLY[i]}"
  done
  [[ \${#COMPREPLY[@]} -eq 1 && \${COMPREPLY[0]} == *[/=] ]] && compopt -o nospace
  return 0
}
complete -F _rlpt rlpt`,
  // a file of $fpath is the function's body at its first call, and is sourced otherwise
  zsh: `#compdef rlpt
_rlpt() {
  local -a typed found open
  typed=("\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}")
  found=("\${(@f)$("\${(Q)words[1]}" completion candidates -- "\${(@)typed}" 2>/dev/null)}")
  compset -P '*/' && found=("\${(@)found#\${typed[-1]%/*}/}")
  open=(\${(M)found:#*[/=]})
  found=(\${found:#*[/=]})
  (( \${#open} )) && compadd -S '' -- $open
  (( \${#found} )) && compadd -- $found
}
if [[ \${funcstack[1]} == _rlpt ]]; then _rlpt "$@"; else compdef _rlpt rlpt; fi`,
  fish: `function __rlpt_candidates
    set -l words (commandline -opc)
    set -l last (string unescape -- (commandline -ct); or commandline -ct | string trim --left --chars '"\\'')
    $words[1] completion candidates -- $words[2..-1] "$last" 2>/dev/null
end
complete -c rlpt -f -a '(__rlpt_candidates)'`,
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
    .argument("[words...]", "after rlpt, the last one being typed")
    .action(async (words: string[]) => {
      const { complete } = await import("../completion.ts");
      const found = await complete(program, words);
      if (found.length > 0) print(found.join("\n"));
    });
}
