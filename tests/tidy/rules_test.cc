// Each rule finds what it is for, and lets pass what only looks like it.
#include "tidy/rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace isthmus::tidy {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::vector<std::string> whats(const Findings& findings) {
  std::vector<std::string> all;
  for (const Finding& finding : findings) all.push_back(finding.what);
  return all;
}

Findings layers(std::string path, std::string_view text) {
  return check_layers({make_source(std::move(path), text)});
}

TEST(Layers, LowerRungsAndOneselfAreFree) {
  EXPECT_THAT(layers("bridge/spool/files/a.cc",
                     "#include \"spool/files/b.h\"\n#include \"ledger/ledger.h\"\n"
                     "#include \"base/env.h\"\n#include <vector>\n"),
              IsEmpty());
}

TEST(Layers, UpwardsAndSidewaysAreNot) {
  EXPECT_THAT(layers("bridge/base/a.cc", "#include \"model/instance.h\"\n"), SizeIs(1));
  EXPECT_THAT(layers("bridge/ledger/a.cc", "\n#include \"spool/spool.h\"\n"), SizeIs(1));
  EXPECT_THAT(layers("bridge/api/a.cc", "#include \"dimse/receiver.h\"\n"), SizeIs(1));
  EXPECT_THAT(layers("bridge/ledger/a.cc", "#include \"storage/object_store.h\"\n"), SizeIs(1));
  EXPECT_THAT(layers("bridge/ledger/a.cc", "#include \"support/test_env.h\"\n"), SizeIs(1));
}

TEST(Layers, TheAgreedSidewaysOnesAre) {
  EXPECT_THAT(layers("bridge/imports/a.cc", "#include \"storage/object_store.h\"\n"), IsEmpty());
  EXPECT_THAT(layers("bridge/imports/a.cc", "#include \"storage/s3.h\"\n"), SizeIs(1));
  EXPECT_THAT(layers("bridge/wire/a.h", "#include \"http/http.h\"\n"), IsEmpty());
  EXPECT_THAT(layers("bridge/wire/a.h", "#include \"http/client.h\"\n"), SizeIs(1));
  EXPECT_THAT(layers("bridge/auth/a.h", "#include \"wire/sigv4.h\"\n"), IsEmpty());
}

TEST(Layers, SomeLowerOnesAreForbidden) {
  EXPECT_THAT(layers("bridge/datastore/a.cc", "#include \"ledger/ledger.h\"\n"), SizeIs(1));
  EXPECT_THAT(layers("bridge/pipeline/a.cc", "#include \"http/http.h\"\n"), SizeIs(1));
  EXPECT_THAT(layers("bridge/pipeline/a.cc", "#include \"ledger/ledger.h\"\n"), IsEmpty());
  EXPECT_THAT(layers("plugin/a.cc", "#include \"datastore/datastore.h\"\n"), IsEmpty());
}

TEST(Layers, SubFoldersArePrivateToAllButApp) {
  EXPECT_THAT(whats(layers("bridge/pipeline/a.cc", "#include \"ledger/sqlite/writer.h\"\n")),
              ElementsAre("ledger/sqlite/writer.h (private)"));
  EXPECT_THAT(layers("bridge/app/a.cc", "#include \"ledger/sqlite/writer.h\"\n"), IsEmpty());
}

TEST(Layers, WhatIsCommentedOutIsNotIncluded) {
  EXPECT_THAT(layers("bridge/base/a.cc", "// #include \"model/instance.h\"\n"), IsEmpty());
}

TEST(Depends, NamesWhatIsIncludedAndKeepsToTheLadder) {
  const Source base = make_source("bridge/base/CMakeLists.txt", "bridge_module(NAME base)\n");
  const Source model =
      make_source("bridge/model/CMakeLists.txt",
                  "bridge_module(NAME model DEPENDS base\n  SOURCES a.cc)  # DEPENDS app\n");
  const Source sql = make_source("bridge/sql/CMakeLists.txt",
                                 "bridge_module(NAME sql DEPENDS model spool SOURCES a.cc)\n");
  const Source fine = make_source("bridge/sql/a.cc", "#include \"base/env.h\"\n");
  const Source missing = make_source("bridge/model/a.cc", "#include \"sql/sql.h\"\n");

  EXPECT_THAT(whats(check_depends({base, model, sql, fine, missing})),
              ElementsAre("spool (not on a lower rung)", "sql (not among DEPENDS)"));

  const Source worker = make_source("bridge/sql/worker/CMakeLists.txt",
                                    "target_link_libraries(w isthmus_base isthmus_options)\n");
  EXPECT_THAT(check_depends({base, worker, fine}), IsEmpty());
}

TEST(ThirdParty, StaysInItsAdapter) {
  const auto check = [](std::string path, std::string_view text) {
    return whats(check_third_party({make_source(std::move(path), text)}));
  };

  EXPECT_THAT(check("bridge/sql/sql.cc", "#include <sqlite3.h>\n#include <string>\n"), IsEmpty());
  EXPECT_THAT(check("bridge/ledger/a.cc", "#include <sqlite3.h>\n"), ElementsAre("sqlite3.h"));
  EXPECT_THAT(check("bridge/dicom/a.h", "#include <dcmtk/dcmdata/dctk.h>\n"), IsEmpty());
  EXPECT_THAT(check("bridge/datastore/api/a.cc", "#include <dcmtk/dcmdata/dctk.h>\n"), SizeIs(1));
  EXPECT_THAT(check("bridge/http/a.cc", "#include <cpprest/http_client.h>\n"), SizeIs(1));
  EXPECT_THAT(check("bridge/http/cpprest/a.cc", "#include <cpprest/http_client.h>\n"), IsEmpty());
  EXPECT_THAT(check("bridge/app/a.cc", "#include <curl/curl.h>\n"), ElementsAre("curl/curl.h"));
}

TEST(Banned, FindsCallsAndNothingThatOnlyLooksLikeThem) {
  const auto check = [](std::string_view text) {
    return check_banned({make_source("bridge/pipeline/a.cc", text)});
  };

  EXPECT_THAT(check("std::thread t;\n"), SizeIs(1));
  EXPECT_THAT(check("auto now = std::chrono::system_clock::now();\n"), SizeIs(1));
  EXPECT_THAT(check("std::this_thread::sleep_for(1s);\n"), SizeIs(1));
  EXPECT_THAT(check("int f = ::open(path, 0);\n"), SizeIs(1));
  EXPECT_THAT(check("  throw 1;\n"), SizeIs(1));
  EXPECT_THAT(check("x = rand();\n"), SizeIs(1));
  EXPECT_THAT(check("std::getenv(\"A\");\n"), SizeIs(1));
  EXPECT_THAT(check("std::filesystem::remove_all(p);\n"), SizeIs(1));

  EXPECT_THAT(check("env.clock.sleep_for(duration);\n"), IsEmpty());
  EXPECT_THAT(check("Result<Db> Db::open(path) {\n"), IsEmpty());
  EXPECT_THAT(check("app.exit(error); operand(1); session->abort();\n"), IsEmpty());
  EXPECT_THAT(check("// std::thread, throw\nlog(\"throw rand()\");\n"), IsEmpty());
  EXPECT_THAT(check("auto text = R\"(throw \" std::thread)\";\n"), IsEmpty());
  EXPECT_THAT(check("int n = 1'000; /* throw\n throw */ char c = '\"';\n"), IsEmpty());
  EXPECT_THAT(check("static_assert(sizeof(int) == 4); ASSERT(x); noexcept_throw();\n"), IsEmpty());
}

TEST(Banned, IsFreeInBaseAndTests) {
  EXPECT_THAT(check_banned({make_source("bridge/base/posix/a.cc", "::open(p);\n")}), IsEmpty());
  EXPECT_THAT(check_banned({make_source("tests/e2e/a.cc", "std::thread t;\n")}), IsEmpty());
}

Findings form(std::string path, std::string_view text) {
  return check_form({make_source(std::move(path), text)});
}

TEST(Form, LinesAndFilesAreShort) {
  const std::string hundred(100, 'x');
  std::string umlauts;
  for (int i = 0; i < 100; ++i) umlauts += "ü";

  EXPECT_THAT(form("bridge/x/a.cc", hundred + "\n" + umlauts + "\n"), IsEmpty());
  EXPECT_THAT(form("bridge/x/a.cc", hundred + "y\n"), SizeIs(1));
  EXPECT_THAT(form("bridge/x/README.md", hundred + "y\n"), IsEmpty());
  EXPECT_THAT(form("bridge/x/a.def", hundred + "y\n"), IsEmpty());
  EXPECT_THAT(form("bridge/x/a.cc", "a; \n"), SizeIs(1));

  std::string lines;
  for (int i = 0; i < 801; ++i) lines += "x\n";
  EXPECT_THAT(whats(form("bridge/x/a.cc", lines)), ElementsAre("a file over 800 lines"));
}

TEST(Form, FunctionsFitAScreen) {
  const auto function = [](int body, const std::string& indent) {
    std::string text = indent + "int f(int a) {\n";
    for (int i = 0; i < body; ++i) text += indent + "  { a; }\n";
    return text + indent + "}\n";
  };

  EXPECT_THAT(form("bridge/x/a.cc", function(68, "")), IsEmpty());
  EXPECT_THAT(whats(form("bridge/x/a.cc", function(69, ""))),
              ElementsAre("a function of 71 lines"));
  EXPECT_THAT(form("bridge/x/a.cc", "int g(int a,\n      int b) {\n" + function(0, "  ") +
                                        "  x;\n" + function(66, "  ") + "}\n"),
              SizeIs(1));
  EXPECT_THAT(form("bridge/x/a.cc", "class A {\n" + function(69, "  ") + "};\n"), SizeIs(1));
  EXPECT_THAT(
      form("bridge/x/a.cc", "class A {\n" + function(40, "  ") + function(40, "  ") + "};\n"),
      IsEmpty());
}

TEST(Form, HeadersOpenWithWhatTheyAreForAndAreReadOnce) {
  EXPECT_THAT(form("bridge/x/a.h", "// What for.\n#pragma once\n"), IsEmpty());
  EXPECT_THAT(form("bridge/x/a.h", "// What for.\n"), SizeIs(1));
  EXPECT_THAT(form("bridge/x/a.h", "#pragma once\n"), SizeIs(1));
  EXPECT_THAT(form("bridge/x/a.h", "// What for.\n#pragma once\nusing namespace std;\n"),
              SizeIs(1));
}

TEST(Form, ASourceIncludesItsOwnHeaderFirst) {
  const Source header = make_source("bridge/x/a.h", "// What for.\n#pragma once\n");

  EXPECT_THAT(check_form({header, make_source("bridge/x/a.cc", "#include \"x/a.h\"\n")}),
              IsEmpty());
  EXPECT_THAT(
      check_form({header, make_source("bridge/x/a.cc", "#include <string>\n#include \"x/a.h\"\n")}),
      SizeIs(1));
}

TEST(Form, NobodysMachineAndNoOwnerlessTodo) {
  EXPECT_THAT(form("bridge/docs/a.md", std::string("see /wo") + "rk/shared\n"), SizeIs(1));
  EXPECT_THAT(form("bridge/docs/a.md", "the net/work/of/us\n"), IsEmpty());
  EXPECT_THAT(form("bridge/x/a.cc", "// TODO: tidy up\n"), SizeIs(1));
  EXPECT_THAT(form("bridge/x/a.cc", "// TODO(anna): tidy up\n// TODO #7\n"), IsEmpty());
}

TEST(Failpoints, AreReachedSomewhere) {
  const Source list = make_source("bridge/base/failpoints.def",
                                  "ISTHMUS_FAILPOINT(one, \"a.one\", \"…\")\n"
                                  "ISTHMUS_FAILPOINT(two, \"a.two\", \"…\")\n");
  const Source code = make_source("bridge/x/a.cc", "  FAILPOINT(one);\n// FAILPOINT(two);\n");

  EXPECT_THAT(whats(check_failpoints({list, code})), ElementsAre("two is nowhere reached"));
}

TEST(Metrics, EndInTheirUnit) {
  EXPECT_THAT(
      check_metrics({make_source("bridge/x/a.cc",
                                 "m.counter(\"a_total\", \"\");\nm.histogram(\"b_seconds\");\n")}),
      IsEmpty());
  EXPECT_THAT(whats(check_metrics(
                  {make_source("bridge/x/a.cc", "m.counter(\"a\");\nm.histogram(\"b_ms\");\n")})),
              ElementsAre("a", "b_ms"));
}

TEST(Metrics, AreFoundWhereTheNameStandsInTheNextLine) {
  EXPECT_THAT(
      whats(check_metrics({make_source("bridge/x/a.cc", "m.counter(\n    \"a\", \"\");\n")})),
      ElementsAre("a"));
}

TEST(Metrics, LeaveTheirPrefixToBase) {
  EXPECT_THAT(
      whats(check_metrics({make_source("bridge/x/a.cc", "m.gauge(\"isthmus_a\", \"\");\n")})),
      ElementsAre("isthmus_a"));
}

TEST(Metrics, AreMadeWhereDocumentsNameThem) {
  const Source code =
      make_source("bridge/x/a.cc", "m.counter(\"a_total\");\nm.histogram(\"b_seconds\");\n");
  const Source good = make_source("config/alerts.yml", "isthmus_a_total isthmus_b_seconds_count\n");
  const Source bad =
      make_source("bridge/docs/X.md", "`isthmus_c_total`, `isthmus_a_total_count`\n");

  EXPECT_THAT(check_metrics({code, good}), IsEmpty());
  EXPECT_THAT(
      whats(check_metrics({code, bad})),
      ElementsAre("isthmus_c_total is nowhere made", "isthmus_a_total_count is nowhere made"));
}

TEST(TopLevel, HoldsTheAgreedNames) {
  EXPECT_THAT(whats(check_top_level({"bridge", "dev", "scripts"})), ElementsAre("scripts"));
}

TEST(Allowances, CoverWhatTheyNameAndAreMarkedAsUsed) {
  auto allowed = parse_allowed(
      make_source("allowed.txt",
                  "# comment\nbanned | bridge/sql/ | ::open( | a lock\nform | x | y | unused\n"));

  const Findings left = left_over({{"banned", "bridge/sql/a.cc", 1, "::open( (instead: …)"},
                                   {"banned", "bridge/sql/a.cc", 2, "throw"},
                                   {"banned", "bridge/api/a.cc", 3, "::open("}},
                                  allowed);

  EXPECT_THAT(whats(left), ElementsAre("throw", "::open("));
  ASSERT_THAT(allowed, SizeIs(2));
  EXPECT_TRUE(allowed[0].used);
  EXPECT_FALSE(allowed[1].used);
  EXPECT_EQ(allowed[0].reason, "a lock");
}

}  // namespace
}  // namespace isthmus::tidy
