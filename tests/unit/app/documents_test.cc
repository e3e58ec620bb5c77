// Generated documents in the tree are what the program prints.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include "app/conformance_document.h"
#include "app/settings.h"
#include "app/states_document.h"
#include "support/test_env.h"

namespace isthmus::app {
namespace {

std::string file_in_tree(const std::string& name) {
  std::ifstream stream(test::source_folder() / name);
  std::stringstream text;
  text << stream.rdbuf();
  return text.str();
}

TEST(Documents, SettingsReferenceIsUpToDate) {
  EXPECT_EQ(file_in_tree("config/REFERENCE.md"), settings_reference_markdown())
      << "run: build/dev/bin/isthmus print-reference > config/REFERENCE.md";
}

TEST(Documents, SettingsSchemaIsUpToDate) {
  EXPECT_EQ(file_in_tree("config/isthmus.schema.json"), settings_json_schema())
      << "run: build/dev/bin/isthmus print-schema > config/isthmus.schema.json";
}

TEST(Documents, StatesAreUpToDate) {
  EXPECT_EQ(file_in_tree("bridge/docs/STATES.md"), states_markdown())
      << "run: build/dev/bin/isthmus print-states > bridge/docs/STATES.md";
}

TEST(Documents, ConformanceTablesAreUpToDate) {
  const std::string document = file_in_tree("bridge/docs/CONFORMANCE.md");
  const auto begin = document.find("## N.9 ");

  ASSERT_NE(begin, std::string::npos);
  EXPECT_EQ(document.substr(begin), conformance_tables_markdown())
      << "put the output of build/dev/bin/isthmus print-conformance in the place of section N.9";
}

// What it says of settings is kept: each that it names is one.
TEST(Documents, ConformanceNamesSettingsThatExist) {
  const std::string document = file_in_tree("bridge/docs/CONFORMANCE.md");
  std::set<std::string> known;
  for (const SettingSpec& spec : setting_specs()) {
    if (spec.name.find('.') != std::string_view::npos) known.insert(std::string(spec.name));
  }
  std::size_t named = 0;
  for (auto at = document.find('`'); at != std::string::npos;) {
    const auto end = document.find('`', at + 1);
    if (end == std::string::npos) break;
    const std::string word = document.substr(at + 1, end - at - 1);
    const bool is_setting = std::any_of(known.begin(), known.end(), [&word](const auto& name) {
      return word.starts_with(name.substr(0, name.find('.') + 1));
    });
    if (is_setting && word.find(' ') == std::string::npos && !word.ends_with('*')) {
      EXPECT_TRUE(known.contains(word)) << word;
      ++named;
    }
    at = document.find('`', end + 1);
  }

  EXPECT_GT(named, 10U);
}

TEST(Documents, TheExampleConfigurationsAreGood) {
  for (const auto* name : {"config/isthmus.example.json", "docker/isthmus.json"}) {
    ConfigSources sources;
    sources.file_text = file_in_tree(name);
    sources.environment = [](const std::string&) { return std::optional<std::string>(); };

    const ParsedSettings parsed = parse_settings(sources);

    ASSERT_FALSE(sources.file_text.empty()) << name;
    EXPECT_TRUE(parsed.problems.empty()) << name << ": " << parsed.problems.front();
  }
}

}  // namespace
}  // namespace isthmus::app
