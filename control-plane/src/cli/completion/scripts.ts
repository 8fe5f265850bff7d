// SPDX-License-Identifier: Apache-2.0
//
// What a shell has to know: it asks the program for everything, in silence. A first line ":files" stands for names of files.

const bash = `# Completion of cellwall for bash.
_cellwall() {
  local words=() rest="$COMP_LINE" word gap i line
  # Bash splits words at ":" and "=" too: what no space parts is one word.
  for ((i = 0; i <= COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    gap="\${rest%%[![:space:]]*}"
    rest="\${rest#"$gap"}"
    if [[ $i -gt 0 && -z $gap && -n $word && $rest == "$word"* ]]; then
      words[-1]+="$word"
    else
      words+=("$word")
    fi
    rest="\${rest#"$word"}"
  done
  # Readline replaces the last of its own words only.
  local current="\${words[-1]}" last="\${COMP_WORDS[COMP_CWORD]}"
  [[ -z \${last//[:=]/} ]] && last=
  local before="\${current%"$last"}"
  COMPREPLY=()
  while IFS= read -r line; do
    if [[ $line == :files ]]; then
      compopt -o default 2>/dev/null
    else
      COMPREPLY+=("\${line#"$before"}")
    fi
  done < <("\${COMP_WORDS[0]/#\\~/$HOME}" __complete -- "\${words[@]:1}" 2>/dev/null)
}
complete -F _cellwall cellwall
`;

const zsh = `#compdef cellwall
# Completion of cellwall for zsh.
_cellwall() {
  local -a found
  found=("\${(@f)$(\${~words[1]} __complete -- "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null)}")
  found=(\${found:#})
  if [[ \${found[1]} == :files ]]; then
    _files
  elif (( \${#found} )); then
    compadd -- "\${found[@]}"
  fi
}
if [[ \${funcstack[1]} == _cellwall ]]; then
  _cellwall "$@"
else
  compdef _cellwall cellwall
fi
`;

const fish = `# Completion of cellwall for fish.
function __cellwall_complete
    set -l before (commandline -opc)
    set -l current (commandline -ct)
    set -l found ($before[1] __complete -- $before[2..-1] "$current" 2>/dev/null)
    if test "$found[1]" = ":files"
        __fish_complete_path "$current"
    else if set -q found[1]
        printf '%s\\n' $found
    end
end
complete -c cellwall -f -a '(__cellwall_complete)'
`;

export const SCRIPTS = { bash, zsh, fish } as const;
export type Shell = keyof typeof SCRIPTS;
