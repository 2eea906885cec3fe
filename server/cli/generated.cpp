// stacyvm completion and stacyvm man: what a shell and a reader need to know, from the parser itself, so that it is never out of date.
#include <stacyvm/stacyvm.h>

#include <algorithm>
#include <cctype>
#include <memory>
#include <sstream>

#include "commands.hpp"
#include "output.hpp"

namespace cli {
namespace {

constexpr const char* kShells = "bash zsh fish";

struct Names {
  std::string verb, help;
  std::vector<const CLI::Option*> options;
  bool takes_files = false;  // beside options
  std::string choices;       // what else may stand there
};

/// The words that an option or a positional word can be, where they are few; empty: any text.
std::string choices_of(const CLI::Option& option) {
  const std::string name = option.get_single_name();
  for (const auto& [of, words] : {std::pair{"profile", "default debug build"}, std::pair{"state", "creating running destroying"}, std::pair{"shell", kShells}})
    if (name == of) return words;
  return "";
}

bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

std::vector<Names> verbs_of(const CLI::App& app) {
  std::vector<Names> all;
  for (const CLI::App* verb : app.get_subcommands(nullptr)) {
    all.push_back({verb->get_name(), verb->get_description(), {}, false, {}});
    for (const CLI::Option* option : verb->get_options()) {
      if (option->get_positional()) {
        all.back().takes_files |= option->get_name(true) == "source";
        all.back().choices += choices_of(*option);
      } else {
        all.back().options.push_back(option);
      }
    }
  }
  return all;
}

/// "--memory -m" of one option, or of all.
std::string words_of(const Names& names) {
  std::string words;
  for (const CLI::Option* option : names.options) {
    for (const std::string& name : option->get_lnames()) words += "--" + name + ' ';
    for (const std::string& name : option->get_snames()) words += '-' + name + ' ';
  }
  if (!words.empty()) words.pop_back();
  return words;
}

bool takes_file(const CLI::Option& option) {
  for (const std::string& name : option.get_lnames())
    for (const char* file : {"image", "config", "state-dir", "server", "api-key-file", "ca-file"})
      if (name == file) return true;
  return false;
}

/// "--memory | -m" of one option.
std::string pattern_of(const CLI::Option& option) {
  std::string pattern;
  for (const std::string& name : option.get_lnames()) pattern += (pattern.empty() ? "--" : " | --") + name;
  for (const std::string& name : option.get_snames()) pattern += (pattern.empty() ? "-" : " | -") + name;
  return pattern;
}

std::string for_bash(const std::vector<Names>& verbs) {
  std::ostringstream out;
  out << "# bash completion for stacyvm\n_stacyvm() {\n  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} verb=${COMP_WORDS[1]} i\n"
         "  for ((i = 1; i < COMP_CWORD; i++)); do [ \"${COMP_WORDS[i]}\" = -- ] && return; done\n  if ((COMP_CWORD == 1)); then\n    mapfile -t COMPREPLY < <(compgen -W \"";
  for (size_t i = 0; i < verbs.size(); ++i) out << (i ? " " : "") << verbs[i].verb;
  out << "\" -- \"$word\")\n    return\n  fi\n  case $verb in\n";
  for (const Names& verb : verbs) {
    out << "    " << verb.verb << ")\n";
    std::string files, texts;
    out << "      case $before in\n";
    for (const CLI::Option* option : verb.options) {
      if (!takes_value(*option)) continue;
      const std::string choices = choices_of(*option), pattern = pattern_of(*option);
      if (!choices.empty())
        out << "        " << pattern << ") mapfile -t COMPREPLY < <(compgen -W \"" << choices << "\" -- \"$word\"); return ;;\n";
      else
        (takes_file(*option) ? files : texts) += " | " + pattern;
    }
    if (!files.empty()) out << "        " << files.substr(3) << ") mapfile -t COMPREPLY < <(compgen -f -- \"$word\"); return ;;\n";
    if (!texts.empty()) out << "        " << texts.substr(3) << ") compopt +o default 2> /dev/null; return ;;\n";  // only the user knows
    out << "      esac\n";
    if (!verb.choices.empty()) out << "      [[ $word != -* ]] && mapfile -t COMPREPLY < <(compgen -W \"" << verb.choices << "\" -- \"$word\") && return\n";
    if (verb.takes_files) out << "      [[ $word != -* ]] && return  # a path\n";
    out << "      mapfile -t COMPREPLY < <(compgen -W \"" << words_of(verb) << "\" -- \"$word\") ;;\n";
  }
  out << "  esac\n}\ncomplete -o default -F _stacyvm stacyvm\n";
  return out.str();
}

/// Text in single quotes of a shell, without what else means something in there.
std::string quoted(std::string text, std::string_view also) {
  std::string out;
  for (const char c : text) {
    if (c == '\'')
      out += "'\\''";
    else if (also.find(c) != also.npos)
      out += std::string("\\") + c;
    else
      out += c;
  }
  return out;
}

std::string zsh_value(const CLI::Option& option) {
  if (!takes_value(option)) return "";
  if (takes_file(option)) return ":file:_files";
  const std::string choices = choices_of(option);
  return choices.empty() ? ":value: " : ":value:(" + choices + ')';
}

std::string for_zsh(const std::vector<Names>& verbs) {
  std::ostringstream out;
  out << "#compdef stacyvm\n_stacyvm() {\n  local -a verbs\n  verbs=(\n";
  for (const Names& verb : verbs) out << "    '" << verb.verb << ':' << quoted(verb.help, ":") << "'\n";
  out << "  )\n  if ((CURRENT == 2)); then _describe verb verbs; return; fi\n  local verb=$words[2]\n  shift words  # the verb is the command that has these options\n"
         "  ((CURRENT--))\n  case $verb in\n";
  for (const Names& verb : verbs) {
    out << "    " << verb.verb << ") _arguments";
    for (const CLI::Option* option : verb.options) {
      std::vector<std::string> names;
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
      for (const std::string& name : option->get_snames()) names.push_back('-' + name);
      for (const std::string& name : names)
        out << " \\\n      '" << (option->get_multi_option_policy() == CLI::MultiOptionPolicy::TakeAll ? "*" : "") << name << '[' << quoted(option->get_description(), "[]:") << ']'
            << zsh_value(*option) << '\'';
    }
    out << " \\\n      '" << (!verb.choices.empty() ? "1:word:(" + verb.choices + ')' : verb.takes_files ? "*:file:_files" : "*:argument:()") << "' ;;\n";
  }
  // Read by compinit, this file is the function's body at its first call; sourced, it tells what the function is for.
  out << "  esac\n}\nif [ \"$funcstack[1]\" = _stacyvm ]; then _stacyvm \"$@\"; else compdef _stacyvm stacyvm; fi\n";
  return out.str();
}

std::string for_fish(const std::vector<Names>& verbs) {
  std::ostringstream out;
  out << "# fish completion for stacyvm\n";
  for (const Names& verb : verbs) out << "complete -c stacyvm -n __fish_use_subcommand -f -a " << verb.verb << " -d '" << quoted(verb.help, "") << "'\n";
  for (const Names& verb : verbs) {
    if (!verb.takes_files)
      out << "complete -c stacyvm -n '__fish_seen_subcommand_from " << verb.verb << "' -f" << (verb.choices.empty() ? "" : " -a '" + verb.choices + '\'') << '\n';
    for (const CLI::Option* option : verb.options) {
      const std::string choices = choices_of(*option);
      out << "complete -c stacyvm -n '__fish_seen_subcommand_from " << verb.verb << '\'';
      for (const std::string& name : option->get_lnames()) out << " -l " << name;
      for (const std::string& name : option->get_snames()) out << " -s " << name;
      out << (takes_value(*option) ? (takes_file(*option) ? " -r -F" : " -x") : " -f") << (choices.empty() ? "" : " -a '" + choices + '\'') << " -d '" << quoted(option->get_description(), "") << "'\n";
    }
  }
  return out.str();
}

/// What groff would take for a request or an escape.
std::string roff(std::string_view text) {
  std::string out;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    out += c == '\\' ? std::string("\\e") : c == '-' ? std::string("\\-") : std::string(1, c);
    line_start = c == '\n';
  }
  return out;
}

std::string manual(const CLI::App& app) {
  std::ostringstream out;
  out << ".TH STACYVM 1 \"\" \"stacyvm " << stacyvm_version_string() << "\" \"User Commands\"\n.SH NAME\nstacyvm \\- " << roff(app.get_description())
      << "\n.SH SYNOPSIS\n.B stacyvm\nVERB [OPTIONS]\n.SH DESCRIPTION\nStarts sandboxes, runs commands and keeps files in them, and throws them away.\n";
  for (const CLI::App* verb : app.get_subcommands(nullptr)) {
    out << ".SH " << roff(verb->get_name()) << '\n' << roff(verb->get_description()) << ".\n";
    for (const CLI::Option* option : verb->get_options()) {
      std::string names;
      for (const std::string& name : option->get_snames()) names += (names.empty() ? "-" : ", -") + name;
      for (const std::string& name : option->get_lnames()) names += (names.empty() ? "--" : ", --") + name;
      const bool word = names.empty();  // one that stands by itself
      if (word) names = option->get_name(true);
      std::transform(names.begin(), word ? names.end() : names.begin(), names.begin(), [](unsigned char c) { return std::toupper(c); });
      out << ".TP\n.B " << roff(names) << (!word && option->get_items_expected_max() > 0 ? " \\fIVALUE\\fR" : "") << '\n' << roff(option->get_description()) << '\n';
    }
    if (!verb->get_footer().empty()) out << ".PP\n.nf\n" << roff(verb->get_footer()) << "\n.fi\n";
  }
  out << ".SH EXIT STATUS\nOf run, exec and shell the command's, 128 + n when signal n ended it, 124 when its time was over, 126 when it is not executable, 127 when "
         "there is none; 125 when stacyvm itself failed; 141 when who read its output went away; 0 otherwise.\n"
         ".SH ENVIRONMENT\n.TP\n.B STACYVM_URL\nThe server or state directory of the client verbs.\n.TP\n.B STACYVM_API_KEY\nThe server's key.\n.TP\n.B STACYVM_CA_FILE\n"
         "Certificates that are trusted instead of the system's.\n.TP\n.B STACYVM_\\fISECTION\\fB_\\fIKEY\\fR\nOver the configuration of serve: STACYVM_SERVER_PORT is server.port.\n"
         ".SH FILES\n.TP\n.B stacyvm.yaml\nThe configuration of serve, in the working directory.\n";
  return out.str();
}

}  // namespace

Verb add_completion(CLI::App& app) {
  auto shell = std::make_shared<std::string>();
  CLI::App* verb = app.add_subcommand("completion", "Print what a shell needs to complete our command lines");
  verb->add_option("shell", *shell, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
  verb->footer("bash: source <(stacyvm completion bash)\nzsh: source <(stacyvm completion zsh), after compinit; or as _stacyvm in a directory of fpath\nfish: stacyvm completion fish | source");
  return {verb, false, [shell, &app](const CommandWords&) {
            const std::vector<Names> verbs = verbs_of(app);
            return print(*shell == "bash" ? for_bash(verbs) : *shell == "zsh" ? for_zsh(verbs) : for_fish(verbs));
          }};
}

Verb add_man(CLI::App& app) {
  CLI::App* verb = app.add_subcommand("man", "Print the manual page");
  verb->footer("stacyvm man | man -l -");
  return {verb, false, [&app](const CommandWords&) { return print(manual(app)); }};
}

}  // namespace cli
