/** One command as a completion script needs it. */
export interface Word {
  readonly name: string;
  readonly describe: string;
  readonly options: readonly string[];
  /** Fixed values of its arguments. */
  readonly arguments: readonly string[];
}

/** For bash. */
export function bashCompletion(words: readonly Word[]): string {
  const cases = words.map((word) => `    ${word.name}) words="${[...word.arguments, ...word.options].join(" ")}" ;;`);
  return `_lateen() {
  local current="\${COMP_WORDS[COMP_CWORD]}" words
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${words.map((word) => word.name).join(" ")}" -- "$current"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
${cases.join("\n")}
    *) words="" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [ "\${#COMPREPLY[@]}" -eq 0 ]; then COMPREPLY=($(compgen -f -- "$current")); fi
}
complete -o filenames -F _lateen lateen
`;
}

/** For zsh. */
export function zshCompletion(words: readonly Word[]): string {
  const list = words.map((word) => `    '${word.name}:${quoted(word.describe)}'`);
  const cases = words.map(
    (word) => `    ${word.name}) compadd -- ${[...word.arguments, ...word.options].join(" ")}; _files ;;`,
  );
  return `#compdef lateen
_lateen() {
  local -a commands=(
${list.join("\n")}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  case "\${words[2]}" in
${cases.join("\n")}
  esac
}
compdef _lateen lateen
`;
}

/** For fish. */
export function fishCompletion(words: readonly Word[]): string {
  const lines = words.flatMap((word) => [
    `complete -c lateen -n __fish_use_subcommand -f -a ${word.name} -d '${quoted(word.describe)}'`,
    ...word.arguments.map((value) => `complete -c lateen -n '__fish_seen_subcommand_from ${word.name}' -f -a ${value}`),
    ...word.options
      .filter((option) => option.startsWith("--"))
      .map((option) => `complete -c lateen -n '__fish_seen_subcommand_from ${word.name}' -l ${option.slice(2)}`),
  ]);
  return `${lines.join("\n")}\n`;
}

/** Single quotes end a shell's quoted text. */
function quoted(text: string): string {
  return text.replaceAll("'", "’");
}
