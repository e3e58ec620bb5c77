// Holds our reading and writing of HealthImaging against the service's own model, shape by shape:
// what a constraint of the model refuses we refuse, and nothing else; what we print has the model's
// members and types. Runs when ../shared/contracts is there.
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <regex>
#include <set>

#include "base/digest.h"
#include "http/http.h"
#include "support/matchers.h"
#include "support/test_env.h"
#include "wire/healthimaging.h"

namespace isthmus::wire::healthimaging {
namespace {

using Json = nlohmann::json;

const std::string kId = "00112233445566778899aabbccddeeff";

// A value of each constrained string that the model accepts; more where a pattern has alternatives.
const std::map<std::string, std::vector<std::string>> kExamples = {
    {"Arn",
     {"arn:aws:medical-imaging:us-east-1:123456789012:datastore/" + kId,
      "arn:aws-iso-b:medical-imaging:x:123456789012:datastore/" + kId + "/imageset/" + kId}},
    {"AwsAccountId", {"123456789012"}},
    {"ClientToken", {"a.B_9-"}},
    {"CopiableAttributes", {"{}"}},
    {"DICOMAccessionNumber", {"A1"}},
    {"DICOMPatientBirthDate", {"19700101"}},
    {"DICOMPatientId", {"P-17"}},
    {"DICOMPatientName", {"A^B"}},
    {"DICOMPatientSex", {"O"}},
    {"DICOMSeriesBodyPart", {"CHEST"}},
    {"DICOMSeriesInstanceUID", {"1.2.3"}},
    {"DICOMSeriesModality", {"CT"}},
    {"DICOMStudyDate", {"20260131"}},
    {"DICOMStudyDescription", {"x"}},
    {"DICOMStudyId", {"1"}},
    {"DICOMStudyInstanceUID", {"1.2.3"}},
    {"DICOMStudyTime", {"0930"}},
    {"DatastoreId", {kId}},
    {"DatastoreName", {"a/B#c-9._"}},
    {"ImageFrameId", {kId}},
    {"ImageSetExternalVersionId", {"12"}},
    {"ImageSetId", {kId}},
    {"JobId", {kId, "a"}},
    {"JobName", {"isthmus-1/#"}},
    {"KmsKeyArn",
     {"arn:aws:kms:us-gov-east-1:123456789012:key/01234567-89ab-CDEF-0123-456789abcdef",
      "arn:aws-cn:kms:eu-west-1:123456789012:alias/a:b/c_d-e"}},
    {"LambdaArn",
     {"arn:aws:lambda:us-east-1:123456789012:function:f_1-x",
      "arn::lambda:us-isob-east-1:123456789012:function:f:$LATEST",
      "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:f:v1"}},
    {"Message", {"All is well: 3 `files` - _ok_"}},
    {"MetadataFilePath", {"meta/a b.json"}},
    {"NextToken", {"t+/="}},
    {"RoleArn", {"arn:aws:iam::123456789012:role/r", "arn:aws-x:iam::123456789012:role/a b"}},
    {"S3Uri", {"s3://abc", "s3://a.b-9c/some/prefix/"}},
    {"TagKey", {"key:/.=-_+"}},
    {"TagValue", {"any thing"}},
};

class Model : public testing::Test {
 protected:
  void SetUp() override {
    USE_SHARED(const auto shared);
    std::ifstream file(shared / "contracts/healthimaging/service-2.json");
    model_ = Json::parse(file, nullptr, false);
    ASSERT_FALSE(model_.is_discarded());
  }
  const Json& shape(const std::string& name) const { return model_.at("shapes").at(name); }

  // Names of all shapes that can be reached from one.
  void reach(const std::string& name, std::set<std::string>& seen) const {
    if (!seen.insert(name).second) return;
    const Json& one = shape(name);
    for (const Json& member : one.value("members", Json::object())) reach(member.at("shape"), seen);
    for (const char* part : {"member", "key", "value"}) {
      if (one.contains(part)) reach(one.at(part).at("shape"), seen);
    }
  }
  std::string example(const std::string& name) const {
    if (shape(name).contains("enum")) return shape(name).at("enum").at(0);
    const auto found = kExamples.find(name);
    return found == kExamples.end() ? "text" : found->second.front();
  }

  Json model_;
};

using Parse = std::function<Result<void>(const Incoming&)>;
template <typename Request>
Result<void> parse_only(const Incoming& incoming) {
  TRY(parse_request<Request>(incoming));
  return {};
}
struct Operation {
  Parse parse;
  std::string_view path;
};
const std::map<std::string, Operation> kOperations = {
    {"CreateDatastore", {parse_only<CreateDatastoreRequest>, paths::kDatastores}},
    {"GetDatastore", {parse_only<GetDatastoreRequest>, paths::kDatastore}},
    {"ListDatastores", {parse_only<ListDatastoresRequest>, paths::kDatastores}},
    {"DeleteDatastore", {parse_only<DeleteDatastoreRequest>, paths::kDatastore}},
    {"StartDICOMImportJob", {parse_only<StartDICOMImportJobRequest>, paths::kStartImport}},
    {"GetDICOMImportJob", {parse_only<GetDICOMImportJobRequest>, paths::kGetImport}},
    {"ListDICOMImportJobs", {parse_only<ListDICOMImportJobsRequest>, paths::kListImports}},
    {"GetImageSet", {parse_only<GetImageSetRequest>, paths::kGetImageSet}},
    {"ListImageSetVersions", {parse_only<ListImageSetVersionsRequest>, paths::kListVersions}},
    {"GetImageSetMetadata", {parse_only<GetImageSetMetadataRequest>, paths::kGetMetadata}},
    {"GetImageFrame", {parse_only<GetImageFrameRequest>, paths::kGetFrame}},
    {"SearchImageSets", {parse_only<SearchImageSetsRequest>, paths::kSearch}},
    {"UpdateImageSetMetadata", {parse_only<UpdateImageSetMetadataRequest>, paths::kUpdateMetadata}},
    {"CopyImageSet", {parse_only<CopyImageSetRequest>, paths::kCopyImageSet}},
    {"DeleteImageSet", {parse_only<DeleteImageSetRequest>, paths::kDeleteImageSet}},
    {"TagResource", {parse_only<TagResourceRequest>, paths::kTags}},
    {"UntagResource", {parse_only<UntagResourceRequest>, paths::kTags}},
    {"ListTagsForResource", {parse_only<ListTagsForResourceRequest>, paths::kTags}},
};

// --- strings
// --------------------------------------------------------------------------------------

TEST_F(Model, EveryConstrainedStringIsOurs) {
  std::set<std::string> seen;
  for (const auto& [name, operation] : kOperations) {
    const Json& one = model_.at("operations").at(name);
    reach(one.at("input").at("shape"), seen);
    reach(one.at("output").at("shape"), seen);
  }
  std::set<std::string> theirs, ours;
  for (const std::string& name : seen) {
    const Json& one = shape(name);
    const bool constrained = one.contains("min") || one.contains("max") ||
                             one.contains("pattern") || one.contains("enum");
    if (one.at("type") == "string" && constrained) theirs.insert(name);
  }
  for (const Shape one : all_shapes()) ours.insert(std::string(to_string(one)));

  EXPECT_EQ(ours, theirs);
}

// Whether the model accepts it, by the model's own words. std::regex will do for short test values.
bool model_accepts(const Json& constraint, const std::string& value) {
  const auto characters = static_cast<std::size_t>(std::ranges::count_if(
      value, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
  if (constraint.contains("min") && characters < constraint.at("min")) return false;
  if (constraint.contains("max") && characters > constraint.at("max")) return false;
  if (constraint.contains("enum")) {
    const Json& known = constraint.at("enum");
    return std::find(known.begin(), known.end(), value) != known.end();
  }
  if (!constraint.contains("pattern")) return true;
  std::string pattern = constraint.at("pattern");
  if (pattern == "\\p{ASCII}{0,8192}") pattern = "[\\x00-\\x7f]*";
  return std::regex_match(value, std::regex(pattern));
}

std::string mutated(std::string value, std::mt19937& random) {
  static const std::string kCharacters = "abzAZ059 -_.:/#+=,;<>@[\\]^`{|}~!$%&'()*?\"\t\n\r\x7f";
  const auto below = [&](std::size_t limit) { return random() % limit; };
  const char c = kCharacters[below(kCharacters.size())];
  switch (below(5)) {
    case 0:
      return value.insert(below(value.size() + 1), 1, c);
    case 1:
      if (!value.empty()) value.erase(below(value.size()), 1);
      return value;
    case 2:
      if (!value.empty()) value[below(value.size())] = c;
      return value;
    case 3: {  // a piece doubled
      if (value.empty()) return value;
      const std::size_t at = below(value.size());
      return value.insert(at, value.substr(at, 1 + below(6)));
    }
    default: {  // a piece gone
      if (value.empty()) return value;
      return value.erase(below(value.size()), 1 + below(6));
    }
  }
}

TEST_F(Model, OurChecksAgreeWithEveryPattern) {
  std::mt19937 random(20260131);
  for (const Shape one : all_shapes()) {
    const std::string name(to_string(one));
    const Json& constraint = shape(name);
    std::vector<std::string> seeds;
    if (constraint.contains("enum")) seeds = constraint.at("enum").get<std::vector<std::string>>();
    if (kExamples.contains(name)) seeds = kExamples.at(name);
    ASSERT_FALSE(seeds.empty()) << name;
    int refused = 0;
    for (const std::string& seed : seeds) {
      EXPECT_THAT(check(one, "m", seed), test::IsOk()) << name << " " << seed;
      EXPECT_TRUE(model_accepts(constraint, seed)) << name << " " << seed;
      for (int round = 0; round < 400; ++round) {
        std::string value = mutated(seed, random);
        if (random() % 3 == 0) value = mutated(std::move(value), random);
        const bool accepted = model_accepts(constraint, value);
        refused += accepted ? 0 : 1;
        EXPECT_EQ(check(one, "m", value).ok(), accepted) << name << " " << Json(value).dump();
      }
    }
    const bool any_text = !constraint.contains("pattern") && !constraint.contains("enum");
    EXPECT_TRUE(any_text || refused > 0) << name << ": the mutations test nothing";
  }
}

TEST_F(Model, OurChecksAgreeWithEveryLength) {
  for (const Shape one : all_shapes()) {
    const std::string name(to_string(one));
    const Json& constraint = shape(name);
    if (!constraint.contains("max")) continue;
    const std::size_t max = constraint.at("max");
    std::string value = kExamples.at(name).back();
    const std::string filler(max, '1');
    value = value.size() > max ? value : value + filler.substr(value.size());
    if (constraint.contains("pattern") && name == "KmsKeyArn") continue;  // its pattern is shorter
    EXPECT_TRUE(check(one, "m", value).ok()) << name << " of " << value.size();
    EXPECT_FALSE(check(one, "m", value + "1").ok()) << name << " of " << value.size() + 1;
    const bool may_be_empty = constraint.value("min", 0) == 0 && !constraint.contains("pattern");
    EXPECT_EQ(check(one, "m", "").ok(), may_be_empty) << name;
  }
}

TEST(HealthImagingShapes, CountCharactersNotOctets) {
  std::string umlauts;
  for (int at = 0; at < 512; ++at) umlauts += "\xC3\xBC";
  EXPECT_TRUE(check(Shape::DICOMPatientName, "m", umlauts).ok());
  EXPECT_FALSE(check(Shape::DICOMPatientName, "m", umlauts + "u").ok());
}

TEST(HealthImagingShapes, SurviveVeryLongValues) {
  const std::string path = "a" + std::string(1'000'000, ' ') + "\n";
  for (const Shape one : all_shapes()) EXPECT_FALSE(check(one, "m", path).ok());
}

// --- requests
// -------------------------------------------------------------------------------------

// Makes the valid input of an operation from the model, then every small change to it, and says of
// each whether the model accepts it.
class Changes : public Model {
 protected:
  using Sink = std::function<void(bool acceptable, const std::string& member)>;

  Json valid(const std::string& name) const {
    const Json& one = shape(name);
    const std::string type = one.at("type");
    if (type == "structure") {
      Json value = Json::object();
      for (const auto& [member, description] : one.at("members").items()) {
        value[member] = valid(description.at("shape"));
        if (one.value("union", false)) break;
      }
      return value;
    }
    if (type == "list") {
      return Json(std::max(1, one.value("min", 1)), valid(one.at("member").at("shape")));
    }
    if (type == "map") {
      return Json{{example(one.at("key").at("shape")), valid(one.at("value").at("shape"))}};
    }
    if (type == "string") return example(name);
    if (type == "integer") return one.value("min", 1);
    if (type == "boolean") return true;
    if (type == "blob") return to_base64(as_bytes("{}"));
    return 1769851800.125;  // timestamp
  }

  void change(const std::string& name, Json& at, const std::string& member, bool in_url,
              const Sink& sink) const {
    const Json& one = shape(name);
    const std::string type = one.at("type");
    const Json before = at;
    const auto with = [&](Json value, bool acceptable) {
      at = std::move(value);
      sink(acceptable, member);
      at = before;
    };
    if (!in_url) {
      with(type == "boolean" ? Json(7) : Json(true), false);
      with(Json::array({Json::array()}), false);
    }
    if (type == "structure") change_structure(one, at, member, sink);
    if (type == "string") {
      with("", model_accepts(one, ""));
      with(example(name) + "\x01", model_accepts(one, example(name) + "\x01"));
      if (one.contains("enum")) {
        for (const Json& enumerator : one.at("enum")) with(enumerator, true);
        with("active", false);
      }
    }
    if (type == "boolean" && in_url) with("yes", false);
    if (type == "blob") {
      with(to_base64(Bytes(one.at("max").get<std::size_t>())), true);
      with(to_base64(Bytes(one.at("max").get<std::size_t>() + 1)), false);
      with("", one.at("min") == 0);
      with("no base64", false);
    }
    if (type == "integer") {
      with(one.at("max"), true);
      with(one.at("max").get<int>() + 1, false);
      with(one.at("min").get<int>() - 1, false);
    }
    if (type == "list") {
      const std::size_t max = one.at("max");
      // In a query an empty list is no list.
      with(Json::array(), one.at("min") == 0 && !in_url);
      with(Json(max, before[0]), true);
      with(Json(max + 1, before[0]), false);
      change(one.at("member").at("shape"), at[0], member, in_url, sink);
    }
    if (type == "map") {
      with(Json{{"", "v"}}, false);
      with(Json{{"aws:k", "v"}}, false);
      with(Json{{"k", std::string(257, 'v')}}, false);
      with(Json{{"k", 7}}, false);
      with(Json::object(), true);
    }
  }

  void change_structure(const Json& one, Json& at, const std::string& outer,
                        const Sink& sink) const {
    const Json before = at;
    const Json required = one.value("required", Json::array());
    const bool is_union = one.value("union", false);
    for (const auto& [member, description] : one.at("members").items()) {
      const bool in_url = description.contains("location");
      if (is_union) {
        at = Json{{member, valid(description.at("shape"))}};
        sink(true, member);
        change(description.at("shape"), at[member], member, in_url, sink);
        at["another"] = "thing";
        sink(false, outer);
      } else {
        const bool needed = std::find(required.begin(), required.end(), member) != required.end();
        at.erase(member);
        sink(!needed, member);
        if (!in_url) {
          at[member] = nullptr;
          sink(!needed, member);
        }
        at = before;
        change(description.at("shape"), at[member], member, in_url, sink);
      }
      at = before;
    }
    if (is_union) {
      at = Json::object();
      sink(false, outer);
      if (one.at("members").size() > 1) {
        for (const auto& [member, description] : one.at("members").items()) {
          at[member] = valid(description.at("shape"));
        }
        sink(false, outer);
      }
    } else {
      at["unknownMember"] = 1;  // readers of restJson1 ignore what they do not know
      sink(true, outer);
    }
    at = before;
  }

  // What travels where, by the model's bindings.
  Result<void> send(const Json& input_shape, const Json& input, const Parse& parse) const {
    PathParameters path;
    std::string query;
    Json rest = input;
    for (const auto& [member, description] : input_shape.at("members").items()) {
      const std::string location = description.value("location", "");
      if (location.empty() || !rest.contains(member)) continue;
      const Json& value = rest.at(member);
      const auto text_of = [](const Json& one) {
        if (one.is_boolean()) return std::string(one.get<bool>() ? "true" : "false");
        return one.is_string() ? one.get<std::string>() : std::to_string(one.get<int>());
      };
      const std::string name = description.at("locationName");
      if (location == "uri") path[name] = text_of(value);
      if (location == "querystring") {
        for (const Json& one : value.is_array() ? value : Json::array({value})) {
          query +=
              (query.empty() ? "" : "&") + name + "=" + http::percent_encode(text_of(one), false);
        }
      }
      rest.erase(member);
    }
    if (input_shape.contains("payload")) {
      const Json payload = rest.value(input_shape.at("payload").get<std::string>(), Json());
      return parse({path, query, payload.is_null() ? "" : payload.dump()});
    }
    return parse({path, query, rest.dump()});
  }
};

TEST_F(Changes, AreJudgedAsTheModelDoes) {
  int accepted = 0, refused = 0;
  for (const auto& [name, operation] : kOperations) {
    const std::string input_name = model_.at("operations").at(name).at("input").at("shape");
    const Json& input_shape = shape(input_name);
    Json input = valid(input_name);
    ASSERT_THAT(send(input_shape, input, operation.parse), test::IsOk()) << name;

    change_structure(
        input_shape, input, name,
        [&, &name = name, &operation = operation](bool acceptable, const std::string& member) {
          const Result<void> result = send(input_shape, input, operation.parse);
          (acceptable ? accepted : refused) += 1;
          if (acceptable) {
            EXPECT_THAT(result, test::IsOk()) << name << "." << member << " in " << input.dump();
            return;
          }
          ASSERT_THAT(result, test::FailsWith("ValidationException", Fate::permanent))
              << name << "." << member << " in " << input.dump();
          // The message names the member; in a URL it has the URL's name for it.
          const Json description = input_shape.at("members").value(member, Json::object());
          const std::string wire_name = description.value("locationName", member);
          EXPECT_THAT(result.error().message, testing::HasSubstr(wire_name)) << input.dump();
        });
  }
  EXPECT_GT(accepted, 100);
  EXPECT_GT(refused, 200);
}

TEST_F(Model, PathsAndMethodsAreTheModels) {
  const std::map<std::string, Call> calls = {
      {"CreateDatastore", to_call(CreateDatastoreRequest{})},
      {"GetDatastore", to_call(GetDatastoreRequest{"D"})},
      {"ListDatastores", to_call(ListDatastoresRequest{})},
      {"DeleteDatastore", to_call(DeleteDatastoreRequest{"D"})},
      {"StartDICOMImportJob", to_call(StartDICOMImportJobRequest{"D", {}, {}, {}, {}, {}, {}, {}})},
      {"GetDICOMImportJob", to_call(GetDICOMImportJobRequest{"D", "J"})},
      {"ListDICOMImportJobs", to_call(ListDICOMImportJobsRequest{"D", {}, {}, {}})},
      {"GetImageSet", to_call(GetImageSetRequest{"D", "I", {}})},
      {"ListImageSetVersions", to_call(ListImageSetVersionsRequest{"D", "I", {}, {}})},
      {"GetImageSetMetadata", to_call(GetImageSetMetadataRequest{"D", "I", {}})},
      {"GetImageFrame", to_call(GetImageFrameRequest{"D", "I", kId})},
      {"SearchImageSets", to_call(SearchImageSetsRequest{"D", {}, {}, {}, {}})},
      {"UpdateImageSetMetadata",
       to_call(UpdateImageSetMetadataRequest{"D", "I", "1", {}, {}, {}, {}})},
      {"CopyImageSet", to_call(CopyImageSetRequest{"D", "S", {}, {}, {}, {}, {}})},
      {"DeleteImageSet", to_call(DeleteImageSetRequest{"D", "I"})},
      {"TagResource", to_call(TagResourceRequest{"R", {}})},
      {"UntagResource", to_call(UntagResourceRequest{"R", {}})},
      {"ListTagsForResource", to_call(ListTagsForResourceRequest{"R"})},
  };
  for (const auto& [name, operation] : kOperations) {
    const Json& binding = model_.at("operations").at(name).at("http");
    std::string target = binding.at("requestUri");
    EXPECT_EQ(operation.path, target) << name;
    for (const auto& [parameter, value] :
         std::map<std::string, std::string>{{"{datastoreId}", "D"},
                                            {"{jobId}", "J"},
                                            {"{imageSetId}", "I"},
                                            {"{sourceImageSetId}", "S"},
                                            {"{resourceArn}", "R"}}) {
      if (const auto at = target.find(parameter); at != std::string::npos) {
        target.replace(at, parameter.size(), value);
      }
    }
    EXPECT_EQ(calls.at(name).method, binding.at("method")) << name;
    const std::string& ours = calls.at(name).target;
    EXPECT_EQ(ours.substr(0, ours.find('?')), target) << name;
  }
}

TEST_F(Model, ErrorsHaveTheModelsStatus) {
  int errors = 0;
  for (const auto& [name, one] : model_.at("shapes").items()) {
    if (!one.value("exception", false)) continue;
    ++errors;
    EXPECT_EQ(status_of(name), one.at("error").at("httpStatusCode")) << name;
  }
  EXPECT_GE(errors, 9);
  EXPECT_EQ(status_of("SomethingNew"), 500);
}

// --- answers
// --------------------------------------------------------------------------------------

class Answers : public Model {
 protected:
  // Only members of the model, of its types; required ones there. `full`: every member is there.
  void expect_conforms(const Json& value, const std::string& name, const std::string& where) const {
    const Json& one = shape(name);
    const std::string type = one.at("type");
    if (type == "structure") {
      ASSERT_TRUE(value.is_object()) << where;
      for (const auto& [member, inner] : value.items()) {
        ASSERT_TRUE(one.at("members").contains(member)) << where << "." << member;
        expect_conforms(inner, one.at("members").at(member).at("shape"), where + "." + member);
      }
      for (const auto& [member, description] : one.at("members").items()) {
        EXPECT_TRUE(value.contains(member)) << where << "." << member << " is never printed";
      }
    } else if (type == "list") {
      ASSERT_TRUE(value.is_array() && !value.empty()) << where;
      for (const Json& item : value) {
        expect_conforms(item, one.at("member").at("shape"), where + "[]");
      }
    } else if (type == "string") {
      ASSERT_TRUE(value.is_string()) << where;
      EXPECT_TRUE(model_accepts(one, value)) << where << " " << value;
    } else if (type == "integer") {
      EXPECT_TRUE(value.is_number_integer()) << where;
    } else if (type == "boolean") {
      EXPECT_TRUE(value.is_boolean()) << where;
    } else {
      EXPECT_TRUE(value.is_number()) << where << " is a timestamp";
    }
  }
  void expect_answer(const std::string& operation, const std::string& text) const {
    const std::string output = model_.at("operations").at(operation).at("output").at("shape");
    expect_conforms(Json::parse(text), output, operation);
  }
  const WallTime time_ = *from_rfc3339("2026-01-31T09:30:00.125Z");
  const std::string role_ = "arn:aws:iam::123456789012:role/import";
};

TEST_F(Answers, OfDataStoresConform) {
  expect_answer("CreateDatastore", print(CreateDatastoreResponse{kId, "CREATING"}));
  expect_answer("DeleteDatastore", print(DeleteDatastoreResponse{kId, "DELETING"}));
  const std::string arn = kExamples.at("Arn").front();
  expect_answer(
      "GetDatastore",
      print(GetDatastoreResponse{{kId, "name", "ACTIVE", kExamples.at("KmsKeyArn")[0],
                                  kExamples.at("LambdaArn")[0], "HTJ2K", arn, time_, time_}}));
  expect_answer("ListDatastores", print(ListDatastoresResponse{
                                      {{kId, "name", "ACTIVE", arn, time_, time_}}, "next"}));
}

TEST_F(Answers, OfImportJobsConform) {
  expect_answer("StartDICOMImportJob",
                print(StartDICOMImportJobResponse{kId, kId, "SUBMITTED", time_}));
  DICOMImportJobProperties job{kId,
                               "job",
                               "COMPLETED",
                               kId,
                               role_,
                               time_,
                               time_,
                               "s3://bucket/in/",
                               "s3://bucket/out/",
                               "done",
                               ImportConfiguration{{{"1.2", "1.2.3", "a.json"}}}};
  expect_answer("GetDICOMImportJob", print(GetDICOMImportJobResponse{job}));
  expect_answer("ListDICOMImportJobs",
                print(ListDICOMImportJobsResponse{
                    {{kId, "job", "FAILED", kId, role_, time_, time_, "no"}}, "next"}));
}

TEST_F(Answers, OfImageSetsConform) {
  const std::string arn = kExamples.at("Arn").back();
  expect_answer("GetImageSet",
                print(GetImageSetResponse{kId, kId, "1", "ACTIVE", "CREATED", time_, time_, time_,
                                          "fine", arn, true, true, time_, "FREQUENT_ACCESS"}));
  expect_answer(
      "ListImageSetVersions",
      print(ListImageSetVersionsResponse{
          {{kId, "1", "ACTIVE", "UPDATED", time_, time_, time_, "fine", false, true}}, "next"}));
  DICOMTags tags{"P", "A^B", "19700101", "O",  "1.2",  "1", "d",        1,
                 2,   "A",   "1.2.3",    "CT", "HEAD", 1,   "20260131", "0930"};
  expect_answer(
      "SearchImageSets",
      print(SearchImageSetsResponse{{{kId, 1, time_, time_, time_, "FREQUENT_ACCESS", tags, true}},
                                    SearchSort{"ASC", "createdAt"},
                                    "next"}));
}

}  // namespace
}  // namespace isthmus::wire::healthimaging
