#include "auth/aws/profiles.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace isthmus::aws {
namespace {

constexpr std::string_view kSpace = " \t\r";

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

// A comment begins a line, or follows a space.
std::string_view without_comment(std::string_view line) {
  for (std::size_t at = 0; at < line.size(); ++at) {
    const bool mark = line[at] == '#' || line[at] == ';';
    if (mark && (at == 0 || kSpace.find(line[at - 1]) != std::string_view::npos)) {
      return line.substr(0, at);
    }
  }
  return line;
}

// The profile that "[…]" begins; empty: none.
std::string profile_named(std::string_view section, bool is_config_file) {
  section = trimmed(section);
  constexpr std::string_view kPrefix = "profile";
  const bool prefixed = section.starts_with(kPrefix) && section.size() > kPrefix.size() &&
                        kSpace.find(section[kPrefix.size()]) != std::string_view::npos;
  if (!is_config_file) return std::string(section);
  if (prefixed) return std::string(trimmed(section.substr(kPrefix.size())));
  return section == "default" ? "default" : "";
}

std::string lower(std::string_view text) {
  std::string copy(text);
  std::ranges::transform(copy, copy.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return copy;
}

}  // namespace

void add_profiles(std::string_view text, bool is_config_file, Profiles& profiles) {
  std::string name;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view whole = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::string_view line = trimmed(without_comment(whole));
    if (line.empty()) continue;
    if (line.front() == '[') {
      const std::size_t close = line.find(']');
      name = close == std::string_view::npos
                 ? ""
                 : profile_named(line.substr(1, close - 1), is_config_file);
      if (!name.empty()) profiles.try_emplace(name);
      continue;
    }
    const bool nested = kSpace.find(whole.front()) != std::string_view::npos;
    const std::size_t equals = line.find('=');
    if (name.empty() || nested || equals == std::string_view::npos) continue;
    profiles[name][lower(trimmed(line.substr(0, equals)))] = trimmed(line.substr(equals + 1));
  }
}

std::optional<std::vector<std::string>> split_words(std::string_view line) {
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  char quote = 0;
  for (std::size_t at = 0; at < line.size(); ++at) {
    const char c = line[at];
    if (c == '\\' && quote != '\'' && at + 1 < line.size()) {
      word += line[++at];
      in_word = true;
    } else if (quote != 0) {
      if (c == quote) {
        quote = 0;
      } else {
        word += c;
      }
    } else if (c == '"' || c == '\'') {
      quote = c;
      in_word = true;
    } else if (c == ' ' || c == '\t') {
      if (in_word) words.push_back(std::exchange(word, {}));
      in_word = false;
    } else {
      word += c;
      in_word = true;
    }
  }
  if (quote != 0) return std::nullopt;
  if (in_word) words.push_back(std::move(word));
  return words;
}

}  // namespace isthmus::aws
