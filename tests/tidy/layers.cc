// Who may include whom: bridge/README.md, DESIGN section 2.
#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include "tidy/rules.h"

namespace isthmus::tidy {
namespace {

const std::map<std::string, int> kRungs{
    {"base", 0},    {"model", 1}, {"http", 2},      {"wire", 2},     {"dicom", 2},
    {"sql", 2},     {"tls", 2},   {"auth", 2},      {"ledger", 3},   {"storage", 3},
    {"imports", 3}, {"spool", 4}, {"senders", 4},   {"pipeline", 5}, {"intake", 5},
    {"api", 6},     {"dimse", 6}, {"datastore", 6}, {"app", 7},      {"plugin", 8}};

// Sideways, with the one header that is meant, or all of the module's.
struct Sideways {
  std::string from, to, header;
};
const std::vector<Sideways> kSideways{{"imports", "storage", "storage/object_store.h"},
                                      {"wire", "http", "http/http.h"},
                                      {"http", "tls", ""},
                                      {"auth", "http", ""},
                                      {"auth", "wire", ""}};

const std::map<std::string, std::set<std::string>> kForbidden{
    {"datastore", {"ledger", "storage", "imports", "spool", "senders", "pipeline"}},
    {"pipeline", {"http", "wire", "dicom"}}};

// Why `from` may not use `to`; empty when it may.
std::string refusal(const std::string& from, const std::string& to, const std::string& header) {
  if (from == to) return {};
  if (!kRungs.contains(to)) return "not a module";
  const auto forbidden = kForbidden.find(from);
  if (forbidden != kForbidden.end() && forbidden->second.contains(to)) return "forbidden";
  if (to == "datastore" && from != "app" && from != "plugin") return "only app uses datastore";
  if (kRungs.at(to) < kRungs.at(from)) return {};
  const bool sideways = std::any_of(kSideways.begin(), kSideways.end(), [&](const Sideways& s) {
    return s.from == from && s.to == to &&
           (header.empty() || s.header.empty() || s.header == header);
  });
  return sideways ? "" : "not on a lower rung";
}

std::string first_folder(const std::string& name) {
  return name.substr(0, name.find('/'));
}

struct ModuleDefinition {
  std::string path;
  std::set<std::string> depends;
};

// What a module's further targets (a worker's program) link: isthmus_<module>.
std::set<std::string> linked_modules(const std::string& text) {
  std::set<std::string> modules;
  constexpr std::string_view kPrefix = "isthmus_";
  for (auto at = text.find(kPrefix); at != std::string::npos; at = text.find(kPrefix, at + 1)) {
    const auto start = at + kPrefix.size();
    const std::string name =
        text.substr(start, text.find_first_not_of("abcdefghijklmnopqrstuvwxyz", start) - start);
    if (kRungs.contains(name)) modules.insert(name);
  }
  return modules;
}

// NAME and DEPENDS of each bridge_module(...), with what other targets below it link.
std::map<std::string, ModuleDefinition> module_definitions(const Sources& sources) {
  std::map<std::string, ModuleDefinition> definitions;
  for (const Source& source : sources) {
    if (module_of(source.path).empty() || !source.path.ends_with("/CMakeLists.txt")) continue;
    std::string text;
    for (const std::string& line : source.lines) text += line.substr(0, line.find('#')) + " ";
    definitions[module_of(source.path)].depends.merge(linked_modules(text));
    const auto start = text.find("bridge_module(");
    if (start == std::string::npos) continue;
    std::istringstream words(text.substr(start + 14, text.find(')', start) - start - 14));
    std::string section, word, name;
    std::set<std::string> depends;
    while (words >> word) {
      if (word == "NAME" || word == "DEPENDS" || word == "LIBRARIES" || word == "SOURCES" ||
          word == "PCH") {
        section = word;
      } else if (section == "NAME") {
        name = word;
      } else if (section == "DEPENDS") {
        depends.insert(word);
      }
    }
    definitions[name].path = source.path;
    definitions[name].depends.merge(depends);
  }
  return definitions;
}

std::set<std::string> closure(const std::map<std::string, ModuleDefinition>& definitions,
                              const std::string& module) {
  std::set<std::string> reached{module};
  std::vector<std::string> open{module};
  while (!open.empty()) {
    const auto definition = definitions.find(open.back());
    open.pop_back();
    if (definition == definitions.end()) continue;
    for (const std::string& next : definition->second.depends) {
      if (reached.insert(next).second) open.push_back(next);
    }
  }
  return reached;
}

}  // namespace

Findings check_layers(const Sources& sources) {
  Findings findings;
  for (const Source& source : sources) {
    const std::string from = module_of(source.path);
    if (from.empty() || !source.is_cpp()) continue;
    for (const Include& include : includes_of(source)) {
      if (!include.is_quoted) continue;
      const std::string to = first_folder(include.name);
      const std::string why = refusal(from, to, include.name);
      if (!why.empty()) {
        findings.push_back({"layer", source.path, include.line, include.name + " (" + why + ")"});
      } else if (from != to && from != "app" &&
                 std::count(include.name.begin(), include.name.end(), '/') > 1) {
        findings.push_back({"layer", source.path, include.line, include.name + " (private)"});
      }
    }
  }
  return findings;
}

Findings check_depends(const Sources& sources) {
  Findings findings;
  const auto definitions = module_definitions(sources);
  for (const auto& [name, definition] : definitions) {
    for (const std::string& to : definition.depends) {
      const std::string why = refusal(name, to, "");
      if (!why.empty()) findings.push_back({"depends", definition.path, 1, to + " (" + why + ")"});
    }
  }
  for (const Source& source : sources) {
    const std::string from = module_of(source.path);
    if (!source.is_cpp() || !definitions.contains(from)) continue;
    const std::set<std::string> declared = closure(definitions, from);
    for (const Include& include : includes_of(source)) {
      const std::string to = first_folder(include.name);
      if (include.is_quoted && !declared.contains(to)) {
        findings.push_back({"depends", source.path, include.line, to + " (not among DEPENDS)"});
      }
    }
  }
  return findings;
}

Findings check_top_level(const std::vector<std::string>& names) {
  static const std::set<std::string> kAgreed{"CMakeLists.txt",
                                             "CMakePresets.json",
                                             "README.md",
                                             "LICENSE",
                                             "dev",
                                             "plugin",
                                             "bridge",
                                             "config",
                                             "tests",
                                             "docker"};
  Findings findings;
  for (const std::string& name : names) {
    if (!kAgreed.contains(name)) findings.push_back({"top-level", name, 0, name});
  }
  return findings;
}

}  // namespace isthmus::tidy
