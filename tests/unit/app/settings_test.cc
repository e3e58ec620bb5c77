#include "app/settings.h"

#include <gmock/gmock.h>

#include <map>
#include <nlohmann/json.hpp>

namespace isthmus::app {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

struct Sources {
  std::string file;
  std::map<std::string, std::string> environment;
  std::vector<std::string> overrides;
  std::map<std::string, std::string> secret_files;

  ParsedSettings parse() const {
    ConfigSources sources;
    sources.file_text = file;
    sources.overrides = overrides;
    sources.environment = [this](const std::string& name) -> std::optional<std::string> {
      const auto found = environment.find(name);
      return found == environment.end() ? std::nullopt : std::optional(found->second);
    };
    sources.read_file = [this](const std::string& path) -> Result<std::string> {
      const auto found = secret_files.find(path);
      if (found == secret_files.end()) return permanent_error("disk.not_found", "not there");
      return found->second;
    };
    return parse_settings(sources);
  }
};

TEST(Settings, EveryDefaultIsWithinItsOwnRules) {
  const ParsedSettings parsed = Sources{}.parse();

  EXPECT_THAT(parsed.problems, IsEmpty());
  EXPECT_EQ(parsed.settings.integer("dimse.port"), 11112);
  EXPECT_EQ(parsed.settings.integer("spool.reserve_bytes"), static_cast<std::int64_t>(2 * GiB));
  EXPECT_EQ(parsed.settings.duration("batch.quiet_s"), Milliseconds(10'000));
  EXPECT_THAT(parsed.settings.destinations(), ElementsAre("main"));
}

TEST(Settings, CommandLineBeatsEnvironmentBeatsFileBeatsDefault) {
  Sources sources;
  sources.file = R"({ // a comment
    "dimse": {"port": 1, "max_associations": 2, "max_connections": 3} })";
  sources.environment = {{"ISTHMUS_DIMSE_PORT", "4"}, {"ISTHMUS_DIMSE_MAX_ASSOCIATIONS", "5"}};
  sources.overrides = {"dimse.port=6"};

  const Settings settings = sources.parse().settings;

  EXPECT_EQ(settings.integer("dimse.port"), 6);
  EXPECT_EQ(settings.integer("dimse.max_associations"), 5);
  EXPECT_EQ(settings.integer("dimse.max_connections"), 3);
}

TEST(Settings, AnUnknownKeyNamesTheNearestOne) {
  Sources sources;
  sources.file = R"({"dimse": {"prot": 1}})";

  EXPECT_THAT(sources.parse().problems,
              ElementsAre(AllOf(HasSubstr("dimse.prot"), HasSubstr("nearest is dimse.port"))));
}

TEST(Settings, AllProblemsAreReportedAtOnce) {
  Sources sources;
  sources.file =
      R"({"dimse": {"port": 70000, "tcp_quick_ack": "yes"}, "batch": {"quiet_s": "long"},
          "destinations": {"main": {"kind": "floppy"}, "Bad Name": {}}})";
  sources.overrides = {"nonsense"};

  EXPECT_THAT(sources.parse().problems, SizeIs(6));
}

TEST(Settings, BytesTakeUnits) {
  Sources sources;
  sources.overrides = {"spool.reserve_bytes=3MiB", "spool.resume_bytes=4194304"};

  const ParsedSettings parsed = sources.parse();

  EXPECT_THAT(parsed.problems, IsEmpty());
  EXPECT_EQ(parsed.settings.integer("spool.reserve_bytes"), static_cast<std::int64_t>(3 * MiB));
  EXPECT_EQ(parsed.settings.integer("spool.resume_bytes"), static_cast<std::int64_t>(4 * MiB));
}

TEST(Settings, SecretsComeFromFilesAndPrintAsSecret) {
  Sources sources;
  sources.file = R"({"datastore": {"access_key_id": "AKID", "secret_access_key": {"file": "/s"}}})";
  sources.secret_files = {{"/s", "hunter2\n"}};

  const ParsedSettings parsed = sources.parse();

  EXPECT_THAT(parsed.problems, IsEmpty());
  EXPECT_EQ(parsed.settings.text("datastore.secret_access_key"), "hunter2");
  EXPECT_THAT(parsed.settings.print(), AllOf(HasSubstr("[secret]"), Not(HasSubstr("hunter2"))));
}

TEST(Settings, ASecretIsNotTakenFromTheCommandLineNorRepeatedInAProblem) {
  Sources sources;
  sources.overrides = {"datastore.secret_access_key=hunter2"};
  sources.file = R"({"datastore": {"access_key_id": "AKID", "secret_access_key": ["hunter2"]}})";

  const auto problems = sources.parse().problems;

  EXPECT_THAT(problems, Contains(HasSubstr("secret")));
  EXPECT_THAT(problems, Each(Not(HasSubstr("hunter2"))));
}

TEST(Settings, RulesBetweenSettings) {
  Sources sources;
  sources.overrides = {"spool.reserve_bytes=10", "spool.resume_bytes=9",
                       "datastore.access_key_id=AKID"};

  EXPECT_THAT(sources.parse().problems,
              ElementsAre(HasSubstr("spool.resume_bytes"), HasSubstr("go together")));
}

TEST(Settings, WatermarksStandInTheirOrder) {
  const auto problems = [](std::vector<std::string> overrides) {
    Sources sources;
    sources.overrides = std::move(overrides);
    return sources.parse().problems;
  };

  EXPECT_THAT(problems({"spool.refuse_bytes=2GiB", "spool.warn_bytes=2GiB"}), IsEmpty());
  EXPECT_THAT(problems({"spool.refuse_bytes=1GiB"}),
              ElementsAre(HasSubstr("spool.refuse_bytes must not be less")));
  EXPECT_THAT(problems({"spool.warn_bytes=2500MiB"}),
              ElementsAre(HasSubstr("spool.warn_bytes must not be less")));
  EXPECT_THAT(problems({"spool.refuse_bytes=20GiB"}), IsEmpty());  // warns no later than that
}

TEST(Settings, AListComesAsJsonOrWithCommas) {
  Sources sources;
  sources.overrides = {"dimse.ae_titles=A,B"};
  sources.environment = {{"ISTHMUS_DIMSE_EXTRA_SOP_CLASSES", R"(["C"])"}};

  const Settings settings = sources.parse().settings;

  EXPECT_THAT(settings.list("dimse.ae_titles"), ElementsAre("A", "B"));
  EXPECT_THAT(settings.list("dimse.extra_sop_classes"), ElementsAre("C"));
}

TEST(Settings, SeveralDestinationsEachHaveTheirOwnValues) {
  Sources sources;
  sources.file = R"({"destinations": {"a": {"bucket": "bucket-a"}, "b": {}}})";
  sources.overrides = {"destinations.c.bucket=bucket-c"};

  const Settings settings = sources.parse().settings;

  EXPECT_THAT(settings.destinations(), ElementsAre("a", "b", "c"));
  EXPECT_EQ(settings.text("destinations.a.bucket"), "bucket-a");
  EXPECT_EQ(settings.text("destinations.b.bucket"), "isthmus-staging");
  EXPECT_EQ(settings.text("destinations.c.bucket"), "bucket-c");
}

TEST(Settings, SendersAndRoutesAreNamedByTheSiteToo) {
  Sources sources;
  sources.file = R"({"senders": {"ct": {"calling_ae_titles": ["CT_1"]}, "mr": {}},
                     "routes": {"rest": {"destinations": ["main"]}}})";
  sources.environment = {{"ISTHMUS_SENDERS_CT_ADDRESSES", "10.1.0.0/16,10.2.0.0/16"}};
  sources.overrides = {"senders.mr.calling_ae_titles=MR_1,MR_2", "senders.us.report_to=us:104",
                       "senders.us.addresses=10.3.0.1"};

  const ParsedSettings parsed = sources.parse();

  EXPECT_THAT(parsed.problems, IsEmpty());
  EXPECT_THAT(parsed.settings.entries("senders"), ElementsAre("ct", "mr", "us"));
  EXPECT_THAT(parsed.settings.entries("routes"), ElementsAre("rest"));
  EXPECT_THAT(parsed.settings.list("senders.ct.addresses"),
              ElementsAre("10.1.0.0/16", "10.2.0.0/16"));
  EXPECT_THAT(parsed.settings.list("senders.mr.calling_ae_titles"), ElementsAre("MR_1", "MR_2"));
  EXPECT_EQ(parsed.settings.text("senders.us.report_to"), "us:104");
  EXPECT_EQ(parsed.settings.text("senders.ct.commitment"), "default");
}

TEST(Settings, ANameOfTheSitesOwnIsCheckedWhereverItComesFrom) {
  Sources sources;
  sources.file = R"({"senders": {"Bad Name": {}}})";
  sources.overrides = {"destinations.A.bucket=b", "senders..addresses=10.3.0.1"};

  EXPECT_THAT(sources.parse().problems,
              ElementsAre(HasSubstr("\"Bad Name\" under senders"),
                          HasSubstr("\"A\" under destinations"), HasSubstr("\"\" under senders")));
}

TEST(Settings, ACloudNeedsItsRegionAndItsDataStore) {
  Sources sources;
  sources.overrides = {"destinations.cloud.kind=aws"};
  EXPECT_THAT(sources.parse().problems,
              ElementsAre(HasSubstr("destinations.cloud.region must be set")));

  sources.overrides = {"destinations.cloud.kind=aws",
                       "destinations.cloud.region=eu-central-1",
                       "destinations.cloud.datastore_id=short",
                       "destinations.cloud.fips=true",
                       "destinations.cloud.endpoint=https://example.org",
                       "destinations.cloud.s3_endpoint=nonsense"};
  EXPECT_THAT(sources.parse().problems,
              ElementsAre(HasSubstr("destinations.cloud.datastore_id"),
                          HasSubstr("destinations.cloud.endpoint: FIPS"),
                          HasSubstr("destinations.cloud.s3_endpoint: FIPS")));

  sources.overrides = {"destinations.cloud.kind=aws", "destinations.cloud.region=eu-central-1",
                       "destinations.cloud.datastore_id=0123456789abcdef0123456789abcdef"};
  EXPECT_THAT(sources.parse().problems, IsEmpty());
}

TEST(Settings, GoogleNeedsItsDicomStoreAndHasDefaultsOfItsOwn) {
  Sources sources;
  sources.overrides = {"destinations.cloud.kind=google", "destinations.cloud.dicom_store=st1",
                       "destinations.cloud.storage_endpoint=nonsense",
                       "destinations.cloud.import_storage_class=FROZEN"};
  EXPECT_THAT(sources.parse().problems,
              ElementsAre(HasSubstr("destinations.cloud.dicom_store must be"),
                          HasSubstr("destinations.cloud.storage_endpoint must be a URL"),
                          HasSubstr("destinations.cloud.import_storage_class")));

  const std::string store =
      "destinations.cloud.dicom_store=projects/p/locations/l/datasets/d/dicomStores/s";
  sources.overrides = {"destinations.cloud.kind=google", store};
  const auto parsed = sources.parse();
  EXPECT_THAT(parsed.problems, IsEmpty());
  EXPECT_EQ(parsed.settings.integer("destinations.cloud.jobs_at_once"), 5);
  EXPECT_EQ(parsed.settings.text("destinations.cloud.on_conflict"), "quarantine");

  sources.overrides = {"destinations.cloud.kind=google", store,
                       "destinations.cloud.on_conflict=deliver"};
  EXPECT_EQ(sources.parse().settings.text("destinations.cloud.on_conflict"), "deliver");
}

TEST(Settings, BrokenJsonSaysWhere) {
  Sources sources;
  sources.file = "{\"dimse\": {";

  EXPECT_THAT(sources.parse().problems, ElementsAre(HasSubstr("not JSON at byte")));
}

TEST(Settings, TheSchemaHasEverySetting) {
  const auto schema = nlohmann::json::parse(settings_json_schema());

  EXPECT_EQ(schema["properties"]["dimse"]["properties"]["port"]["maximum"], 65535);
  for (const auto& [section, name] :
       {std::pair("destinations", "kind"), {"senders", "addresses"}, {"routes", "conditions"}}) {
    EXPECT_TRUE(schema["properties"][section]["additionalProperties"]["properties"].contains(name));
  }
}

}  // namespace
}  // namespace isthmus::app
