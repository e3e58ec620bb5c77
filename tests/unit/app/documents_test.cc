// Generated documents in the tree are what the program prints.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

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
