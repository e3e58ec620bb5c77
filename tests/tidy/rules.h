// The rules of DESIGN and STYLE that a program can check. Each takes sources and gives findings, so
// that it can be shown to find what it is for (rules_test.cc) and be run on the tree
// (tree_test.cc).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tidy/tree.h"

namespace isthmus::tidy {

struct Finding {
  std::string rule;
  std::string path;
  std::size_t line = 0;
  std::string what;  // what was found: the included header, the banned call, …

  std::string text() const { return path + ":" + std::to_string(line) + ": " + rule + ": " + what; }
};
using Findings = std::vector<Finding>;
using Sources = std::vector<Source>;

// "layer": a module includes lower rungs only, the sideways exceptions aside; never a private
// sub-folder of another module. For bridge/ and plugin/.
Findings check_layers(const Sources& sources);
// "depends": what a module's sources include is among the DEPENDS of its CMakeLists.txt (or
// theirs), and the DEPENDS keep to the ladder.
Findings check_depends(const Sources& sources);
// "third-party": a library's headers only in its adapter, and no library that is not in the table.
Findings check_third_party(const Sources& sources);
// "banned": time, disk, network, threads, randomness and ends of the process outside base/.
Findings check_banned(const Sources& sources);
// "form": length of lines, files and functions, #pragma once, own header first, what a header opens
// with, paths of somebody's machine, TODO without an owner.
Findings check_form(const Sources& sources);
// "failpoint": every point of failpoints.def stands somewhere in the code.
Findings check_failpoints(const Sources& sources);
// "metric": counters end in _total, histograms in _seconds; the prefix is put by base/; documents
// and alerts name only metrics that the code makes.
Findings check_metrics(const Sources& sources);
// "top-level": nothing but what DESIGN section 2 names.
Findings check_top_level(const std::vector<std::string>& names);

// An exception to a rule, with its reason. In allowed.txt: "rule | path prefix | what | reason".
struct Allowed {
  std::string rule, path_prefix, what, reason;
  bool used = false;
};
std::vector<Allowed> parse_allowed(const Source& file);
// The findings that nothing allows. Marks the allowances that were used.
Findings left_over(const Findings& findings, std::vector<Allowed>& allowed);

}  // namespace isthmus::tidy
