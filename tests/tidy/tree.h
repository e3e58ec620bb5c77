// The repository as text, for rules that read it.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace isthmus::tidy {

struct Source {
  std::string path;  // from the repository's root: "bridge/spool/admission.cc"
  std::vector<std::string> lines;
  // The same lines with comments and the insides of strings and characters blanked: what the
  // compiler sees as code. For C++ only, otherwise empty.
  std::vector<std::string> code;

  bool is_under(std::string_view prefix) const { return path.starts_with(prefix); }
  bool is_header() const { return path.ends_with(".h"); }
  bool is_cpp() const { return path.ends_with(".h") || path.ends_with(".cc"); }
};

Source make_source(std::string path, std::string_view text);

// Every text file of the repository, without what git ignores (build/, caches) and .git itself.
std::vector<Source> read_tree(const std::filesystem::path& root);
// The names at the top of the repository, hidden and ignored ones left out.
std::vector<std::string> top_level(const std::filesystem::path& root);

// "spool" of "bridge/spool/files/file_spool.cc", "plugin" of "plugin/x.cc"; else empty.
std::string module_of(std::string_view path);

struct Include {
  std::size_t line = 0;  // from 1
  std::string name;      // between the quotes or angles
  bool is_quoted = false;
};
std::vector<Include> includes_of(const Source& source);

}  // namespace isthmus::tidy
