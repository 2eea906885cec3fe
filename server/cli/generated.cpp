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

struct Names {
  std::string verb, help;
  std::vector<const CLI::Option*> options;
  bool takes_files = false;  // beside options
};

std::vector<Names> verbs_of(const CLI::App& app) {
  std::vector<Names> all;
  for (const CLI::App* verb : app.get_subcommands(nullptr)) {
    all.push_back({verb->get_name(), verb->get_description(), {}, false});
    for (const CLI::Option* option : verb->get_options()) {
      if (option->get_positional())
        all.back().takes_files |= option->get_name(true) == "source";
      else
        all.back().options.push_back(option);
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

std::string for_bash(const std::vector<Names>& verbs) {
  std::ostringstream out;
  out << "# bash completion for stacyvm\n_stacyvm() {\n  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} verb=${COMP_WORDS[1]} i\n"
         "  for ((i = 1; i < COMP_CWORD; i++)); do [ \"${COMP_WORDS[i]}\" = -- ] && return; done\n  if ((COMP_CWORD == 1)); then\n    mapfile -t COMPREPLY < <(compgen -W \"";
  for (size_t i = 0; i < verbs.size(); ++i) out << (i ? " " : "") << verbs[i].verb;
  out << "\" -- \"$word\")\n    return\n  fi\n  case $verb in\n";
  for (const Names& verb : verbs) {
    out << "    " << verb.verb << ")\n";
    std::string files;
    for (const CLI::Option* option : verb.options)
      if (takes_file(*option))
        for (const std::string& name : option->get_lnames()) files += (files.empty() ? "--" : " | --") + name;
    if (!files.empty()) out << "      case $before in " << files << ") mapfile -t COMPREPLY < <(compgen -f -- \"$word\"); return ;; esac\n";
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

std::string for_zsh(const std::vector<Names>& verbs) {
  std::ostringstream out;
  out << "#compdef stacyvm\n_stacyvm() {\n  local -a verbs\n  verbs=(\n";
  for (const Names& verb : verbs) out << "    '" << verb.verb << ':' << quoted(verb.help, ":") << "'\n";
  out << "  )\n  if ((CURRENT == 2)); then _describe verb verbs; return; fi\n  case $words[2] in\n";
  for (const Names& verb : verbs) {
    out << "    " << verb.verb << ") _arguments";
    for (const CLI::Option* option : verb.options) {
      std::vector<std::string> names;
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
      for (const std::string& name : option->get_snames()) names.push_back('-' + name);
      for (const std::string& name : names)
        out << " \\\n      '" << name << '[' << quoted(option->get_description(), "[]:") << ']'
            << (option->get_items_expected_max() > 0 ? (takes_file(*option) ? ":file:_files" : ":value: ") : "") << '\'';
    }
    out << (verb.takes_files ? " \\\n      '*:file:_files' ;;\n" : " ;;\n");
  }
  out << "  esac\n}\n_stacyvm \"$@\"\n";
  return out.str();
}

std::string for_fish(const std::vector<Names>& verbs) {
  std::ostringstream out;
  out << "# fish completion for stacyvm\n";
  for (const Names& verb : verbs) out << "complete -c stacyvm -n __fish_use_subcommand -f -a " << verb.verb << " -d '" << quoted(verb.help, "") << "'\n";
  for (const Names& verb : verbs)
    for (const CLI::Option* option : verb.options) {
      out << "complete -c stacyvm -n '__fish_seen_subcommand_from " << verb.verb << '\'';
      for (const std::string& name : option->get_lnames()) out << " -l " << name;
      for (const std::string& name : option->get_snames()) out << " -s " << name;
      out << (option->get_items_expected_max() > 0 ? (takes_file(*option) ? " -r -F" : " -x") : " -f") << " -d '" << quoted(option->get_description(), "") << "'\n";
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
  return out.str();
}

}  // namespace

Verb add_completion(CLI::App& app) {
  auto shell = std::make_shared<std::string>();
  CLI::App* verb = app.add_subcommand("completion", "Print what a shell needs to complete our command lines");
  verb->add_option("shell", *shell, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
  verb->footer("bash: source <(stacyvm completion bash)");
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
