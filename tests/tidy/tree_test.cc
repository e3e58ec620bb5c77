// The rules on the tree as it is. Exceptions stand in allowed.txt, each with its reason.
#include <gtest/gtest.h>

#include "support/test_env.h"
#include "tidy/rules.h"

namespace isthmus::tidy {
namespace {

struct Tree {
  Sources sources = read_tree(test::source_folder());
  std::vector<Allowed> allowed;

  Tree() {
    for (const Source& source : sources) {
      if (source.path == "tests/tidy/allowed.txt") allowed = parse_allowed(source);
    }
  }
};
Tree& tree() {
  static Tree the_tree;
  return the_tree;
}

// What nothing allows, a line each; empty is good.
std::string report(const Findings& findings) {
  std::string lines;
  for (const Finding& finding : left_over(findings, tree().allowed)) lines += finding.text() + "\n";
  return lines;
}

TEST(Tree, IsRead) {
  EXPECT_GT(tree().sources.size(), 80u);
}

TEST(Tree, KeepsToTheLadder) {
  EXPECT_EQ(report(check_layers(tree().sources)), "");
}

TEST(Tree, DeclaresWhatItIncludes) {
  EXPECT_EQ(report(check_depends(tree().sources)), "");
}

TEST(Tree, KeepsThirdPartiesInTheirAdapters) {
  EXPECT_EQ(report(check_third_party(tree().sources)), "");
}

TEST(Tree, AsksTheWorldThroughEnv) {
  EXPECT_EQ(report(check_banned(tree().sources)), "");
}

TEST(Tree, IsInForm) {
  EXPECT_EQ(report(check_form(tree().sources)), "");
}

TEST(Tree, ReachesEveryFailpoint) {
  EXPECT_EQ(report(check_failpoints(tree().sources)), "");
}

TEST(Tree, NamesMetricsByTheirUnit) {
  EXPECT_EQ(report(check_metrics(tree().sources)), "");
}

TEST(Tree, HoldsNothingElseAtItsTop) {
  EXPECT_EQ(report(check_top_level(top_level(test::source_folder()))), "");
}

TEST(Tree, AllowsNothingWithoutReasonOrNeed) {
  std::vector<Allowed> allowed = tree().allowed;
  const Sources& sources = tree().sources;
  for (const Findings& findings :
       {check_layers(sources), check_depends(sources), check_third_party(sources),
        check_banned(sources), check_form(sources), check_failpoints(sources),
        check_metrics(sources)}) {
    left_over(findings, allowed);
  }

  for (const Allowed& entry : allowed) {
    EXPECT_NE(entry.reason, "") << entry.rule << " | " << entry.path_prefix;
    // "until …" announces work under way; whoever finishes it removes the line.
    EXPECT_TRUE(entry.used || entry.reason.starts_with("until "))
        << "no longer needed: " << entry.rule << " | " << entry.path_prefix << " | " << entry.what;
  }
}

}  // namespace
}  // namespace isthmus::tidy
