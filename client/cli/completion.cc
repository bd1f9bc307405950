// `sextant completion`: scripts for shells, made from the command line's own description.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/cli/app.h"
#include "client/cli/commands.h"
#include "client/cli/text.h"

namespace sextant::cli {
namespace {

constexpr char kGlobal[] = "--server --token-file --ca --cert --key --insecure-token --format --no-color --help";

std::string Bash(const std::vector<CommandNames>& commands) {
  std::string names, cases, actions;
  for (const CommandNames& c : commands) {
    if (!c.actions.empty())
      absl::StrAppend(&actions, "    ", c.name, ") COMPREPLY=($(compgen -W \"", absl::StrJoin(c.actions, " "),
                      " $options\" -f -- \"$word\")); return ;;\n");
    absl::StrAppend(&names, names.empty() ? "" : " ", c.name);
    absl::StrAppend(&cases, "    ", c.name, ") options=\"", absl::StrJoin(c.options, " "), "\" ;;\n");
  }
  return absl::StrCat(
      "# bash completion for sextant:  source <(sextant completion bash)\n"
      "_sextant() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command= options= i\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    case ${COMP_WORDS[i]} in\n"
      "      --) COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n"
      "      --server|--token-file|--ca|--cert|--key|--format) ((i++)) ;;\n"
      "      -*) ;;\n"
      "      *) command=${COMP_WORDS[i]}; break ;;\n"
      "    esac\n"
      "  done\n"
      "  for ((; i < COMP_CWORD; i++)); do\n"
      "    [[ ${COMP_WORDS[i]} == -- ]] && { COMPREPLY=($(compgen -f -- \"$word\")); return; }\n"
      "  done\n"
      "  case $previous in\n"
      "    --format) COMPREPLY=($(compgen -W \"text json\" -- \"$word\")); return ;;\n"
      "    --scope) COMPREPLY=($(compgen -W \"read submit worker admin\" -- \"$word\")); return ;;\n"
      "    --state) COMPREPLY=($(compgen -d -W \"waiting ready running done failed cancelled\" -- \"$word\")); return ;;\n"
      "    --as|--format-trace) COMPREPLY=($(compgen -W \"perfetto chrome csv parquet pprof ncu-rep\" -- \"$word\")); return ;;\n"
      "  esac\n"
      "  case $command in\n"
      "    '') COMPREPLY=($(compgen -W \"", names, " ", kGlobal, "\" -- \"$word\")); return ;;\n", cases,
      "  esac\n"
      "  case $command in\n"
      "    completion) COMPREPLY=($(compgen -W \"bash zsh fish\" -- \"$word\")); return ;;\n",
      actions,
      "    job|watch|cancel|timeline|costs|critical-path|diagnosis|hotspots|registers|report|roofline|export|logs)\n"
      "      if [[ $word != -* ]]; then\n"
      "        COMPREPLY=($(compgen -W \"$(sextant jobs 2>/dev/null | awk 'NR > 1 { print $1 }')\" -- \"$word\")); return\n"
      "      fi ;;\n"
      "  esac\n"
      "  if [[ $word == -* ]]; then COMPREPLY=($(compgen -W \"$options ", kGlobal, "\" -- \"$word\"))\n"
      "  else COMPREPLY=($(compgen -f -- \"$word\")); fi\n"
      "}\n"
      "complete -o filenames -F _sextant sextant\n");
}

std::string Quoted(const std::string& text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

std::string Zsh(const std::vector<CommandNames>& commands) {
  std::string described, cases;
  for (const CommandNames& c : commands) {
    absl::StrAppend(&described, "    ", Quoted(absl::StrCat(c.name, ":", absl::StrReplaceAll(c.summary, {{":", "\\:"}}))), "\n");
    absl::StrAppend(&cases, "    ", c.name, ") options=(", absl::StrJoin(c.options, " "), "); actions=(",
                    absl::StrJoin(c.actions, " "), ") ;;\n");
  }
  return absl::StrCat(
      "#compdef sextant\n# zsh completion for sextant:  source <(sextant completion zsh)\n"
      "_sextant() {\n"
      "  local -a commands options actions\n"
      "  commands=(\n", described,
      "  )\n"
      "  local command= i\n"
      "  for ((i = 2; i < CURRENT; i++)); do\n"
      "    if [[ ${words[i]} == -- ]]; then _files; return; fi\n"
      "    if [[ -z $command && ${words[i]} != -* && ${words[i-1]} != (--server|--token-file|--ca|--cert|--key|--format) ]]; then command=${words[i]}; fi\n"
      "  done\n"
      "  if [[ -z $command ]]; then _describe command commands; compadd -- ", kGlobal, "; return; fi\n"
      "  case $command in\n", cases,
      "  esac\n"
      "  if [[ ${words[CURRENT]} == -* ]]; then compadd -- $options ", kGlobal, "\n"
      "  elif [[ $command == completion ]]; then compadd bash zsh fish\n"
      "  elif [[ $command == (job|watch|cancel|timeline|costs|critical-path|diagnosis|hotspots|registers|report|roofline|export|logs) ]]; then\n"
      "    compadd -- ${(f)\"$(sextant jobs 2>/dev/null | awk 'NR > 1 { print $1 }')\"}\n"
      "  else (( $#actions )) && compadd -- $actions; _files; fi\n"
      "}\n"
      "compdef _sextant sextant\n");
}

std::string Fish(const std::vector<CommandNames>& commands) {
  std::string text =
      "# fish completion for sextant:  sextant completion fish | source\n"
      "complete -c sextant -n __fish_use_subcommand -f\n"
      "complete -c sextant -l server -x -d 'Address of the service'\n"
      "complete -c sextant -l token-file -r -d 'File with the token to call with'\n"
      "complete -c sextant -l ca -r -d 'Who signed the certificate of the service'\n"
      "complete -c sextant -l cert -r -d 'Your own certificate'\n"
      "complete -c sextant -l key -r -d 'Its private key'\n"
      "complete -c sextant -l insecure-token -d 'Send the token unencrypted'\n"
      "complete -c sextant -l format -x -a 'text json'\n"
      "complete -c sextant -l no-color -d 'No colours'\n";
  for (const CommandNames& c : commands) {
    absl::StrAppend(&text, "complete -c sextant -n __fish_use_subcommand -f -a ", c.name, " -d ",
                    Quoted(Cut(c.summary, 60)), "\n");
    if (!c.actions.empty())
      absl::StrAppend(&text, "complete -c sextant -n '__fish_seen_subcommand_from ", c.name, "' -a '",
                      absl::StrJoin(c.actions, " "), "'\n");
    for (const std::string& option : c.options) {
      if (option == "--help") continue;
      absl::StrAppend(&text, "complete -c sextant -n '__fish_seen_subcommand_from ", c.name, "' -l ", option.substr(2), "\n");
    }
  }
  absl::StrAppend(&text,
                  "complete -c sextant -n '__fish_seen_subcommand_from completion' -f -a 'bash zsh fish'\n"
                  "complete -c sextant -n '__fish_seen_subcommand_from job watch cancel timeline costs critical-path diagnosis hotspots registers report roofline export logs' -f "
                  "-a '(sextant jobs 2>/dev/null | awk \"NR > 1 { print \\$1 }\")'\n");
  return text;
}

}  // namespace

int Completion(Context& context, const std::string& shell) {
  const std::vector<CommandNames> commands = AllCommands();
  if (shell == "bash") {
    context.out << Bash(commands);
  } else if (shell == "zsh") {
    context.out << Zsh(commands);
  } else if (shell == "fish") {
    context.out << Fish(commands);
  } else {
    return context.Usage(absl::StrCat("completion for \"", Escape(shell, 40), "\" is not known; write bash, zsh or fish"));
  }
  return kOk;
}

}  // namespace sextant::cli
