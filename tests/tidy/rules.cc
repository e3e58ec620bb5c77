#include "tidy/rules.h"

#include <algorithm>
#include <cctype>
#include <regex>
#include <set>

namespace isthmus::tidy {
namespace {

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

bool is_product(const Source& source) {
  return source.is_cpp() && (source.is_under("bridge/") || source.is_under("plugin/"));
}

bool is_under_any(const Source& source, const std::vector<std::string>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const std::string& prefix) { return source.is_under(prefix); });
}

// --- third parties
// ---------------------------------------------------------------------------------

struct Library {
  std::string prefix;                // of its headers
  std::vector<std::string> allowed;  // where they may be included
};

const std::vector<Library>& libraries() {
  static const std::vector<std::string> kSystem{"bridge/base/",
                                                "bridge/http/beast/",
                                                "bridge/dimse/",
                                                "bridge/tls/openssl/socket_bio",
                                                "bridge/sql/lock_file.cc",
                                                "bridge/datastore/engine/worker_process",
                                                "bridge/datastore/worker/",
                                                "bridge/app/"};
  static const std::vector<Library> kLibraries{
      {"cpprest/", {"bridge/http/cpprest/"}},
      {"pplx/", {"bridge/http/cpprest/"}},
      {"boost/", {"bridge/http/beast/", "bridge/http/cpprest/"}},
      {"sqlite3.h", {"bridge/sql/"}},
      {"dcmtk/",
       {"bridge/dicom/", "bridge/dimse/", "bridge/datastore/engine/", "bridge/datastore/worker/"}},
      {"iconv.h", {"bridge/datastore/engine/"}},
      {"openjpeg.h", {"bridge/datastore/engine/pixels/openjpeg.cc"}},
      {"openjph/", {"bridge/datastore/engine/pixels/openjph.cc"}},
      {"orthanc/", {"plugin/"}},
      {"spdlog/", {"bridge/base/"}},
      {"fmt/", {"bridge/", "plugin/"}},
      {"prometheus/", {"bridge/base/"}},
      {"openssl/",
       {"bridge/base/", "bridge/http/cpprest/", "bridge/http/beast/", "bridge/tls/",
        "bridge/auth/openssl/"}},
      {"zlib.h", {"bridge/dicom/", "bridge/wire/", "bridge/datastore/"}},
      {"libdeflate.h", {"bridge/base/", "bridge/datastore/"}},
      {"nlohmann/",
       {"bridge/wire/", "bridge/auth/", "bridge/api/", "bridge/datastore/", "bridge/app/",
        "plugin/"}},
      {"dlfcn.h", {"plugin/"}},
      {"pugixml.hpp", {"bridge/wire/"}},
      {"CLI/", {"bridge/app/"}},
      {"sys/", kSystem},
      {"netinet/", kSystem},
      {"arpa/", kSystem},
      {"netdb.h", kSystem},
      {"unistd.h", kSystem},
      {"fcntl.h", kSystem},
      {"poll.h", kSystem},
      {"dirent.h", kSystem},
      {"signal.h", kSystem},
      {"spawn.h", kSystem},
      {"time.h", kSystem},
      {"malloc.h", {"bridge/datastore/worker/", "bridge/app/main.cc"}},
      {"pthread.h", {"bridge/base/"}}};
  return kLibraries;
}

// --- banned calls
// ----------------------------------------------------------------------------------

struct Ban {
  std::string text;
  std::string instead;
};

const std::vector<Ban>& bans() {
  static const std::vector<Ban> kBans{
      {"std::thread", "base/thread.h"},
      {"std::jthread", "base/thread.h"},
      {"std::async", "base/thread.h"},
      {"std::this_thread", "Clock, Wakeup"},
      {"system_clock::now", "Clock"},
      {"steady_clock::now", "Clock"},
      {"high_resolution_clock", "Clock"},
      {"usleep(", "Clock"},
      {"nanosleep(", "Clock"},
      {"gettimeofday(", "Clock"},
      {"clock_gettime(", "Clock"},
      {"time(nullptr)", "Clock"},
      {"getenv", "app's settings"},
      {"rand(", "Entropy"},
      {"srand(", "Entropy"},
      {"random_device", "Entropy"},
      {"::open(", "FileSystem"},
      {"::rename(", "FileSystem"},
      {"::unlink(", "FileSystem"},
      {"::mkdir(", "FileSystem"},
      {"::fsync(", "FileSystem"},
      {"::fdatasync(", "FileSystem"},
      {"fopen(", "FileSystem"},
      {"std::remove(", "FileSystem"},
      {"std::rename(", "FileSystem"},
      {"ofstream", "FileSystem"},
      {"ifstream", "FileSystem"},
      {"std::fstream", "FileSystem"},
      {"filesystem::remove", "FileSystem"},
      {"filesystem::remove_all", "FileSystem"},
      {"filesystem::rename", "FileSystem"},
      {"filesystem::create_directory", "FileSystem"},
      {"filesystem::create_directories", "FileSystem"},
      {"filesystem::copy", "FileSystem"},
      {"filesystem::copy_file", "FileSystem"},
      {"filesystem::resize_file", "FileSystem"},
      {"filesystem::permissions", "FileSystem"},
      {"filesystem::exists", "FileSystem"},
      {"filesystem::directory_iterator", "FileSystem"},
      {"std::cout", "Log; commands print in app/"},
      {"std::cerr", "Log"},
      {"printf(", "Log"},
      {"std::exit(", "Env::on_fatal"},
      {"_exit(", "Env::on_fatal"},
      {"abort()", "ASSERT"},
      {"throw", "Result"},
      {"std::regex", "a parser: std::regex overflows the stack on long input"},
      {"assert(", "ASSERT, which stays on in release"}};
  return kBans;
}

// Whether `text` stands at `at` as a whole: not the tail of a longer name, nor another object's
// member.
bool stands_alone(const std::string& line, std::size_t at, const std::string& text) {
  if (at > 0) {
    const char before = line[at - 1];
    if (is_word(before)) return false;
    if (text.starts_with("::") && (before == '>' || before == ':')) return false;
    if (before == '.' || (before == '>' && at > 1 && line[at - 2] == '-')) return false;
  }
  const std::size_t end = at + text.size();
  return !(is_word(text.back()) && end < line.size() && is_word(line[end]));
}

bool has_call(const std::string& line, const std::string& text) {
  for (auto at = line.find(text); at != std::string::npos; at = line.find(text, at + 1)) {
    if (stands_alone(line, at, text)) return true;
  }
  return false;
}

// --- form
// ------------------------------------------------------------------------------------------

constexpr std::size_t kLineLimit = 100;
constexpr std::size_t kFileLimit = 800;
constexpr std::size_t kFunctionLimit = 70;

std::size_t characters(const std::string& line) {
  return static_cast<std::size_t>(std::count_if(line.begin(), line.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

// The line where the head that ends at `last` begins: arguments may have been broken over several.
std::size_t head_of(const std::vector<std::string>& code, std::size_t last) {
  std::ptrdiff_t open = 0;
  for (std::size_t i = last;; --i) {
    open += std::count(code[i].begin(), code[i].end(), ')');
    open -= std::count(code[i].begin(), code[i].end(), '(');
    if (open <= 0 || i == 0) return i;
  }
}

// Relies on clang-format: a body ends at the first "}" that stands where its head began. Blocks
// inside functions are measured too, which does no harm.
void check_functions(const Source& source, Findings& findings) {
  for (std::size_t i = 0; i < source.code.size(); ++i) {
    if (!source.code[i].ends_with("{") || source.code[i].find(')') == std::string::npos) continue;
    const std::size_t first = head_of(source.code, i);
    const std::size_t indent = source.code[first].find_first_not_of(' ');
    if (indent == std::string::npos || indent > 2) continue;
    const std::string end = std::string(indent, ' ') + "}";
    std::size_t last = i + 1;
    while (last < source.code.size() && !source.code[last].starts_with(end)) ++last;
    if (last - first + 1 > kFunctionLimit) {
      findings.push_back({"form", source.path, first + 1,
                          "a function of " + std::to_string(last - first + 1) + " lines"});
    }
  }
}

void check_header(const Source& source, Findings& findings) {
  const bool once =
      std::find(source.lines.begin(), source.lines.end(), "#pragma once") != source.lines.end();
  if (!once) findings.push_back({"form", source.path, 1, "no #pragma once"});
  if (source.lines.empty() || !source.lines.front().starts_with("//")) {
    findings.push_back({"form", source.path, 1, "does not open with what it is for"});
  }
  for (std::size_t i = 0; i < source.code.size(); ++i) {
    const std::string& line = source.code[i];
    if (has_call(line, "using namespace") && line.find("literals") == std::string::npos) {
      findings.push_back({"form", source.path, i + 1, "using namespace in a header"});
    }
  }
}

void check_own_header_first(const Source& source, const std::set<std::string>& paths,
                            Findings& findings) {
  const std::string header = source.path.substr(0, source.path.size() - 3) + ".h";
  if (!source.path.ends_with(".cc") || !paths.contains(header)) return;
  const auto slash = header.find('/');
  const std::string as_included = source.is_under("plugin/") ? header : header.substr(slash + 1);
  const auto includes = includes_of(source);
  if (!includes.empty() && includes.front().name != as_included) {
    findings.push_back({"form", source.path, includes.front().line, "its own header is not first"});
  }
}

// "TODO(name)" and "TODO #12" have an owner.
bool is_ownerless_todo(const std::string& line) {
  const auto at = line.find("TODO");
  if (at == std::string::npos || (at > 0 && is_word(line[at - 1]))) return false;
  const std::string_view after = std::string_view(line).substr(at + 4);
  return !after.starts_with("(") && !after.starts_with(" #");
}

void check_lines(const Source& source, Findings& findings) {
  // Written apart, or this file would find itself.
  static const std::vector<std::string> kMachinePaths{
      std::string("/wo") + "rk/", std::string("/ho") + "me/", std::string("/ro") + "ot/"};
  for (std::size_t i = 0; i < source.lines.size(); ++i) {
    const std::string& line = source.lines[i];
    const auto found = [&](std::string what) {
      findings.push_back({"form", source.path, i + 1, std::move(what)});
    };
    // Tables (.def) and build lists are not clang-format's, and read better a line an entry.
    if (source.is_cpp() && characters(line) > kLineLimit) found("a line over 100 characters");
    if (source.is_cpp() && (line.ends_with(" ") || line.find('\t') != std::string::npos)) {
      found("a tab or a space at the end");
    }
    for (const std::string& path : kMachinePaths) {
      const auto at = line.find(path);
      if (at != std::string::npos && (at == 0 || !is_word(line[at - 1]))) {
        found("a path of somebody's machine");
      }
    }
    if (!source.is_under("tests/tidy/") && is_ownerless_todo(line)) found("TODO without an owner");
  }
}

}  // namespace

Findings check_third_party(const Sources& sources) {
  Findings findings;
  for (const Source& source : sources) {
    if (!is_product(source)) continue;
    for (const Include& include : includes_of(source)) {
      if (include.is_quoted) continue;
      const auto library = std::find_if(
          libraries().begin(), libraries().end(),
          [&](const Library& known) { return include.name.starts_with(known.prefix); });
      const bool is_standard = include.name.find_first_of("/.") == std::string::npos;
      if (library == libraries().end() && is_standard) continue;
      if (library == libraries().end() || !is_under_any(source, library->allowed)) {
        findings.push_back({"third-party", source.path, include.line, include.name});
      }
    }
  }
  return findings;
}

Findings check_banned(const Sources& sources) {
  Findings findings;
  for (const Source& source : sources) {
    if (!is_product(source) || source.is_under("bridge/base/")) continue;
    for (std::size_t i = 0; i < source.code.size(); ++i) {
      for (const Ban& ban : bans()) {
        if (has_call(source.code[i], ban.text)) {
          findings.push_back(
              {"banned", source.path, i + 1, ban.text + " (instead: " + ban.instead + ")"});
        }
      }
    }
  }
  return findings;
}

Findings check_form(const Sources& sources) {
  Findings findings;
  std::set<std::string> paths;
  for (const Source& source : sources) paths.insert(source.path);
  for (const Source& source : sources) {
    check_lines(source, findings);
    if (!source.is_cpp()) continue;
    if (source.lines.size() > kFileLimit) {
      findings.push_back({"form", source.path, source.lines.size(), "a file over 800 lines"});
    }
    if (source.is_header()) check_header(source, findings);
    check_own_header_first(source, paths, findings);
    if (is_product(source)) check_functions(source, findings);
  }
  return findings;
}

Findings check_failpoints(const Sources& sources) {
  Findings findings;
  const auto list = std::find_if(sources.begin(), sources.end(), [](const Source& source) {
    return source.path == "bridge/base/failpoints.def";
  });
  if (list == sources.end())
    return {{"failpoint", "bridge/base/failpoints.def", 0, "no such file"}};
  constexpr std::string_view kEntry = "ISTHMUS_FAILPOINT(";
  for (std::size_t i = 0; i < list->lines.size(); ++i) {
    const std::string& line = list->lines[i];
    if (!line.starts_with(kEntry)) continue;
    const std::string name = line.substr(kEntry.size(), line.find(',') - kEntry.size());
    const bool used = std::any_of(sources.begin(), sources.end(), [&](const Source& source) {
      return is_product(source) &&
             std::any_of(source.code.begin(), source.code.end(), [&](const std::string& code) {
               return has_call(code, "FAILPOINT(" + name + ")");
             });
    });
    if (!used) findings.push_back({"failpoint", list->path, i + 1, name + " is nowhere reached"});
  }
  return findings;
}

namespace {

// A metric as the code makes it: the name stands in the call's line or in the next.
struct MadeMetric {
  std::string kind, name, path;
  std::size_t line = 0;
};

std::vector<MadeMetric> made_metrics(const Sources& sources) {
  static const std::regex made(R"re(\b(counter|gauge|histogram)\(\s*"([a-z0-9_]+)")re");
  std::vector<MadeMetric> all;
  for (const Source& source : sources) {
    if (!is_product(source) || source.is_under("bridge/base/")) continue;
    for (std::size_t i = 0; i < source.lines.size(); ++i) {
      const std::string& line = source.lines[i];
      const std::string next = i + 1 < source.lines.size() ? source.lines[i + 1] : "";
      const std::string both = line + "\n" + next;
      for (std::sregex_iterator at(both.begin(), both.end(), made), end; at != end; ++at) {
        if (static_cast<std::size_t>(at->position()) >= line.size()) continue;  // found with it
        all.push_back({(*at)[1], (*at)[2], source.path, i + 1});
      }
    }
  }
  return all;
}

// What a metric is called in documents, alerts and tests: as it is exposed.
void check_named_metrics(const Source& source, const std::set<std::string>& exposed,
                         Findings& findings) {
  static const std::regex named(R"(\bisthmus_[a-z0-9_]+_(total|seconds|bytes|count|state)\b)");
  for (std::size_t i = 0; i < source.lines.size(); ++i) {
    const std::string& line = source.lines[i];
    for (std::sregex_iterator at(line.begin(), line.end(), named), end; at != end; ++at) {
      const std::string name = at->str();
      const bool of_histogram =
          name.ends_with("_seconds_count") && exposed.contains(name.substr(0, name.size() - 6));
      if (!exposed.contains(name) && !of_histogram) {
        findings.push_back({"metric", source.path, i + 1, name + " is nowhere made"});
      }
    }
  }
}

}  // namespace

Findings check_metrics(const Sources& sources) {
  Findings findings;
  std::set<std::string> exposed;
  for (const MadeMetric& metric : made_metrics(sources)) {
    exposed.insert("isthmus_" + metric.name);
    const bool has_unit = (metric.kind != "counter" || metric.name.ends_with("_total")) &&
                          (metric.kind != "histogram" || metric.name.ends_with("_seconds"));
    if (!has_unit || metric.name.starts_with("isthmus_")) {
      findings.push_back({"metric", metric.path, metric.line, metric.name});
    }
  }
  for (const Source& source : sources) {
    const bool tells = source.path.ends_with(".md") || source.path.ends_with(".yml");
    if (tells && !source.is_under("bridge/docs/decisions/")) {
      check_named_metrics(source, exposed, findings);
    }
  }
  return findings;
}

std::vector<Allowed> parse_allowed(const Source& file) {
  std::vector<Allowed> allowed;
  for (const std::string& line : file.lines) {
    if (line.empty() || line.starts_with("#")) continue;
    std::vector<std::string> fields;
    std::size_t start = 0;
    for (auto bar = line.find(" | "); bar != std::string::npos; bar = line.find(" | ", start)) {
      fields.push_back(line.substr(start, bar - start));
      start = bar + 3;
    }
    fields.push_back(line.substr(start));
    fields.resize(4);
    allowed.push_back({fields[0], fields[1], fields[2], fields[3]});
  }
  return allowed;
}

Findings left_over(const Findings& findings, std::vector<Allowed>& allowed) {
  Findings left;
  for (const Finding& finding : findings) {
    bool is_allowed = false;
    for (Allowed& entry : allowed) {
      if (entry.rule == finding.rule && finding.path.starts_with(entry.path_prefix) &&
          finding.what.starts_with(entry.what)) {
        entry.used = true;
        is_allowed = true;
      }
    }
    if (!is_allowed) left.push_back(finding);
  }
  return left;
}

}  // namespace isthmus::tidy
