// What a Store request is answered, case by case (contracts/dicomweb-stow.md).
#include <zlib.h>

#include "unit/api/stow_fixture.h"

namespace isthmus::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

class Stow : public StowFixture {};

std::string file(const DicomRecipe& recipe) {
  return make_part10(recipe);
}

TEST_F(Stow, StoresEveryPartAsItCame) {
  const std::string first = file(instance(1)), second = file(instance(2, "2.25.8"));

  const StowAnswer answer = post(related({{first}, {second}}));

  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.headers.get("Content-Type"), "application/dicom+json");
  EXPECT_THAT(answer.stored, UnorderedElementsAre(Pair(uid(1), 0), Pair("2.25.8.1.2", 0)));
  EXPECT_TRUE(spool_.instance(uid(1))->bytes == first);
  EXPECT_TRUE(spool_.instance("2.25.8.1.2")->bytes == second);
  EXPECT_EQ(spool_.instance(uid(1))->origin.receiver, "stow");
  EXPECT_EQ(spool_.instance(uid(1))->origin.peer_address, "127.0.0.1");
  EXPECT_THAT(answer.body, Not(HasSubstr("00081198")));
  EXPECT_THAT(answer.body, Not(HasSubstr("0008119A")));
}

TEST_F(Stow, TakesASinglePartWithAndWithoutAStudyInThePath) {
  EXPECT_EQ(post(file(instance(1)), "application/dicom").status, 200);
  EXPECT_EQ(post(file(instance(2)), "application/dicom; transfer-syntax=*", "2.25.7").status, 200);
  EXPECT_EQ(post(file(instance(3)), "application/dicom", "2.25.8").status, 409);

  EXPECT_EQ(spool_.instances().size(), 2U);
}

// --- statuses (PS3.18 table 10.5.3-1, and Microsoft's case list)

TEST_F(Stow, AnEmptyBodyIs400) {
  EXPECT_EQ(post("").status, 400);
}

TEST_F(Stow, AnInvalidStudyInThePathIs400) {
  EXPECT_EQ(post(related({{file(instance(1))}}), related_type(), "no-uid").status, 400);
  EXPECT_TRUE(spool_.instances().empty());
}

TEST_F(Stow, AnAnswerThatNobodyTakesIs406) {
  const auto status = [&](std::string accept) {
    return post(related({{file(instance(1))}}), related_type(), "", {{"Accept", accept}}).status;
  };
  EXPECT_EQ(status("text/html"), 406);
  EXPECT_EQ(status("application/dicom"), 406);
  EXPECT_EQ(status("application/dicom+json;q=0"), 406);
  EXPECT_TRUE(spool_.instances().empty());
}

TEST_F(Stow, OtherMediaTypesAre415) {
  const std::string body = related({{file(instance(1))}});
  EXPECT_EQ(post(body, "").status, 415);
  EXPECT_EQ(post(body, "multipart/form-data; boundary=x").status, 415);
  EXPECT_EQ(post(body, "multipart/related; type=\"image/jpeg\"; boundary=x").status, 415);
  EXPECT_EQ(post(body, "text/plain").status, 415);
  EXPECT_EQ(post(body, "nonsense").status, 415);
  EXPECT_EQ(post(body, "multipart/related; type=\"application/dicom\"").status, 400);
  EXPECT_EQ(post(body, related_type(), "", {{"Content-Encoding", "br"}}).status, 415);
}

TEST_F(Stow, NoPartIs204) {
  const StowAnswer answer = post(related({}));
  EXPECT_EQ(answer.status, 204);
  EXPECT_EQ(answer.body, "");
}

TEST_F(Stow, AnEmptyPartIs409AndWordsAre400) {
  const StowAnswer empty = post(related({{""}}));
  EXPECT_EQ(empty.status, 409);
  EXPECT_THAT(empty.other_failures, ElementsAre(0xC000));
  const StowAnswer words = post(related({{"these are words"}, {"and these"}}));
  EXPECT_EQ(words.status, 400);
  EXPECT_THAT(words.other_failures, ElementsAre(0xC000, 0xC000));
  EXPECT_EQ(post("words", "application/dicom").status, 400);
}

TEST_F(Stow, OneInvalidPartAmongOthersIs202) {
  const StowAnswer answer = post(related({{file(instance(1))}, {"words"}, {file(instance(2))}}));

  EXPECT_EQ(answer.status, 202);
  EXPECT_THAT(answer.stored, UnorderedElementsAre(Pair(uid(1), 0), Pair(uid(2), 0)));
  EXPECT_THAT(answer.other_failures, ElementsAre(0xC000));
}

TEST_F(Stow, AFirstPartWithoutATypeIsOfTheRequestsType) {
  EXPECT_EQ(post(related({{file(instance(1)), ""}, {file(instance(2))}})).status, 200);
  EXPECT_TRUE(spool_.instance(uid(1))->bytes == file(instance(1)));
}

TEST_F(Stow, InstancesOfOtherStudiesFailOneByOne) {
  const StowAnswer all = post(related({{file(instance(1))}}), related_type(), "2.25.8");
  EXPECT_EQ(all.status, 409);
  EXPECT_THAT(all.failed, ElementsAre(Pair(uid(1), 0xA901)));

  const StowAnswer some =
      post(related({{file(instance(1))}, {file(instance(2, "2.25.8"))}}), related_type(), "2.25.8");
  EXPECT_EQ(some.status, 202);
  EXPECT_THAT(some.stored, ElementsAre(Pair("2.25.8.1.2", 0)));
  EXPECT_THAT(some.failed, ElementsAre(Pair(uid(1), 0xA901)));
  EXPECT_FALSE(spool_.instance(uid(1)));
}

TEST_F(Stow, TheSameInstanceTwiceIsStored) {
  const std::string one = file(instance(1));
  EXPECT_EQ(post(related({{one}, {one}})).status, 200);
  EXPECT_EQ(post(related({{one}})).status, 200);
}

TEST_F(Stow, AnInvalidUidIs409) {
  DicomRecipe broken = instance(1);
  broken.series_instance_uid = "1..2";
  DicomRecipe nameless = instance(2);
  nameless.sop_instance_uid = "";

  const StowAnswer invalid = post(related({{file(broken)}}));
  const StowAnswer missing = post(related({{file(nameless)}}));

  EXPECT_EQ(invalid.status, 409);
  EXPECT_THAT(invalid.failed, ElementsAre(Pair(uid(1), 0xC002)));
  EXPECT_EQ(missing.status, 409);
  EXPECT_THAT(missing.other_failures, ElementsAre(0xC001));
}

TEST_F(Stow, UidsPaddedWithSpacesAreEqual) {
  DicomRecipe padded = instance(1);
  padded.study_instance_uid += " ";
  padded.sop_instance_uid += "  ";

  const StowAnswer answer = post(related({{file(padded)}}), related_type(), "2.25.7");

  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_THAT(answer.stored, ElementsAre(Pair(uid(1), 0)));
}

TEST_F(Stow, PrivateAttributesAndOddValuesAreKept) {
  DicomRecipe recipe = instance(1);
  recipe.transfer_syntax_uid = kImplicitLittle;
  recipe.modality = "CT\\MR";  // of one value, in the standard
  recipe.more = [](DicomWriter& writer) {
    writer.element(0x00290010, "LO", "SYNTHETIC").element(0x00291001, "UN", "private");
  };

  EXPECT_EQ(post(related({{file(recipe)}})).status, 200);
  EXPECT_TRUE(spool_.instance(uid(1))->bytes == file(recipe));
}

TEST_F(Stow, AHundredPartsWithFiveBadOnesAreToldApart) {
  std::vector<StowPart> parts;
  for (int i = 0; i < 100; ++i) {
    parts.push_back({i % 20 == 7 ? "bad part " + std::to_string(i) : file(instance(i))});
  }

  const StowAnswer answer = post(related(parts));

  EXPECT_EQ(answer.status, 202);
  EXPECT_EQ(answer.stored.size(), 95U);
  EXPECT_EQ(answer.other_failures, std::vector<int>(5, 0xC000));
  EXPECT_EQ(spool_.instances().size(), 95U);
}

TEST_F(Stow, AHeadThatNamesAnotherInstanceIsAWarning) {
  const std::string stranger =
      part10_around(make_dataset(instance(1)), kExplicitLittle, kCtImageStorage, "2.25.999");

  const StowAnswer answer = post(related({{stranger}}));

  EXPECT_EQ(answer.status, 202);
  EXPECT_THAT(answer.stored, ElementsAre(Pair(uid(1), 0xB007)));
  EXPECT_TRUE(spool_.instance(uid(1))->bytes == stranger);
}

TEST_F(Stow, DirectoriesAndUnsupportedSyntaxesFail) {
  DicomRecipe directory = instance(1);
  directory.sop_class_uid = "1.2.840.10008.1.3.10";
  DicomRecipe elsewhere = instance(2);
  elsewhere.transfer_syntax_uid = "1.2.840.10008.1.2.4.94";  // JPIP Referenced

  const StowAnswer answer = post(related({{file(directory)}, {file(elsewhere)}}));

  EXPECT_EQ(answer.status, 409);
  EXPECT_THAT(answer.failed, UnorderedElementsAre(Pair(uid(1), 0x0122), Pair(uid(2), 0xC122)));
}

// --- multipart, as it is seen in the field

TEST_F(Stow, EveryFormOfContentTypeIsRead) {
  const std::string body = related({{file(instance(1))}}, "b-1");
  for (const char* type : {"multipart/related; type=application/dicom; boundary=b-1",
                           "Multipart/Related;BOUNDARY=\"b-1\";Type=\"APPLICATION/DICOM\"",
                           "multipart/related; boundary=b-1",
                           "multipart/related; x=y; boundary=b-1; type=\"application/dicom;"
                           " transfer-syntax=1.2.840.10008.1.2.1\""}) {
    EXPECT_EQ(post(body, type).status, 200) << type;
  }
}

TEST_F(Stow, TextAroundThePartsAndLineEndsOfPartHeadsDoNotMatter) {
  const std::string one = file(instance(1));
  const std::string type = "multipart/related; boundary=XX";
  EXPECT_EQ(
      post("words before\r\n--XX\r\nContent-Type: application/dicom;transfer-syntax=*\r\n\r\n" +
               one + "\r\n--XX--\r\nand behind",
           type)
          .status,
      200);
  EXPECT_EQ(post("--XX\nContent-Type: application/dicom\nContent-Length: 7\n\n" + one +
                     "\r\n--XX\nContent-Type: application/dicom\r\n\n" + one + "\r\n--XX--",
                 type)
                .status,
            200);
  for (const IntakeInstance& kept : spool_.instances()) EXPECT_TRUE(kept.bytes == one);
}

TEST_F(Stow, TheBoundaryInsidePixelDataIsData) {
  DicomRecipe recipe = instance(1);
  recipe.more = [](DicomWriter& writer) {
    std::string bytes = "\r\n\r\n-XX\n--XXY\r\n--XX-\r\n--X\r\n";
    for (int i = 0; i < 20'000; ++i) bytes += "x--XX--\r\n\r\n\r\r\n--XXX";
    writer.element(0x00291001, "OB", bytes);
  };

  const StowAnswer answer =
      post(related({{file(recipe)}, {file(instance(2))}}, "XX"), "multipart/related; boundary=XX");

  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_TRUE(spool_.instance(uid(1))->bytes == file(recipe));
}

TEST_F(Stow, ATruncatedBodyIs400AndWhatCameBeforeIsKept) {
  const std::string whole = related({{file(instance(1))}, {file(instance(2))}});
  const std::string closing = "--" + std::string(kStowBoundary) + "--\r\n";

  const StowAnswer cut = post(whole.substr(0, whole.size() - closing.size() - 100));
  EXPECT_EQ(cut.status, 400);
  EXPECT_THAT(cut.stored, ElementsAre(Pair(uid(1), 0)));
  EXPECT_EQ(cut.other_failures.size(), 1U);
  EXPECT_FALSE(spool_.instance(uid(2)));

  EXPECT_EQ(post(whole.substr(0, whole.size() - 4)).status, 400);  // without the last "--"
  EXPECT_EQ(post(whole.substr(0, whole.size() - 2)).status, 200);  // without the last line end
  EXPECT_EQ(post("no delimiter at all").status, 400);
  EXPECT_EQ(spool_.under_way(), 0U);
}

std::string gzipped(std::string_view plain) {
  z_stream z{};
  EXPECT_EQ(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string coded(plain.size() + 1000, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));
  z.avail_in = static_cast<uInt>(plain.size());
  z.next_out = reinterpret_cast<Bytef*>(coded.data());
  z.avail_out = static_cast<uInt>(coded.size());
  EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
  coded.resize(coded.size() - z.avail_out);
  deflateEnd(&z);
  return coded;
}

TEST_F(Stow, ABodyMayBeGzipped) {
  const std::string coded = gzipped(related({{file(instance(1))}}));
  const http::Headers gzip{{"Content-Encoding", "gzip"}};

  EXPECT_EQ(post(coded, related_type(), "", gzip).status, 200);
  EXPECT_TRUE(spool_.instance(uid(1))->bytes == file(instance(1)));
  EXPECT_EQ(post(coded.substr(0, coded.size() - 5), related_type(), "", gzip).status, 400);
  EXPECT_EQ(post("not gzip at all", related_type(), "", gzip).status, 400);
}

TEST_F(Stow, WhatInflatesBeyondTheLimitIs413) {
  open({.max_body_bytes = 100'000});
  const std::string bomb = gzipped(std::string(1'000'000, '\0'));

  EXPECT_EQ(post(bomb, "application/dicom", "", {{"Content-Encoding", "gzip"}}).status, 413);
  EXPECT_TRUE(spool_.instances().empty());
}

// --- answers

TEST_F(Stow, AnswersInXmlWhenThatIsWanted) {
  open({.retrieve_url = "https://viewer/dicom-web?a&b"});
  const auto type_of = [&](std::string accept) {
    return std::string(
        post(related({{file(instance(1))}}), related_type(), "", {{"Accept", std::move(accept)}})
            .headers.get("Content-Type"));
  };
  EXPECT_EQ(type_of("application/dicom+xml"), "application/dicom+xml");
  EXPECT_EQ(type_of("application/dicom+json;q=0.5, application/dicom+xml;q=0.7"),
            "application/dicom+xml");
  EXPECT_EQ(type_of("application/dicom+xml;q=0.1, */*;q=0.2"), "application/dicom+json");
  EXPECT_EQ(type_of("*/*"), "application/dicom+json");

  const StowAnswer answer = post(related({{file(instance(1))}, {"words"}}), related_type(), "",
                                 {{"Accept", "application/dicom+xml"}});
  EXPECT_EQ(answer.status, 202);
  EXPECT_THAT(answer.body,
              HasSubstr("<DicomAttribute tag=\"00081190\" vr=\"UR\" keyword=\"RetrieveURL\"><Value "
                        "number=\"1\">https://viewer/dicom-web?a&amp;b/studies/2.25.7</Value>"));
  EXPECT_THAT(answer.body,
              HasSubstr("keyword=\"ReferencedSOPSequence\"><Item number=\"1\"><DicomAttribute "));
  EXPECT_THAT(answer.body,
              HasSubstr("keyword=\"FailureReason\"><Value number=\"1\">49152</Value>"));
}

TEST_F(Stow, RetrieveUrlsAreThoseOfTheConfiguredService) {
  EXPECT_THAT(post(related({{file(instance(1))}})).body, HasSubstr(R"("00081190":{"vr":"UR"})"));
  open({.retrieve_url = "https://viewer/dicom-web"});

  EXPECT_THAT(post(related({{file(instance(1))}})).body,
              HasSubstr("\"https://viewer/dicom-web/studies/2.25.7/series/2.25.7.1/instances/"));
  EXPECT_THAT(post(related({{file(instance(1))}, {file(instance(1, "2.25.8"))}})).body,
              HasSubstr(R"({"00081190":{"vr":"UR"},"00081199")"));
}

// --- limits, policy, room

TEST_F(Stow, LimitsAreAnswered) {
  open({.max_instance_bytes = 600, .max_parts = 2});
  const StowAnswer large = post(related({{file(instance(1))}}));
  EXPECT_EQ(large.status, 409);
  EXPECT_EQ(large.failed.size() + large.other_failures.size(), 1U);
  EXPECT_THAT(large.body, HasSubstr("42752"));  // A700
  EXPECT_EQ(post(related({{"a"}, {"b"}, {"c"}})).status, 413);
  open({.max_body_bytes = 1000});
  EXPECT_EQ(post(related({{file(instance(1))}, {file(instance(2))}})).status, 413);
  EXPECT_TRUE(spool_.instances().empty());
}

TEST_F(Stow, AFullDiskIs503AndNamesWhatWasNotStored) {
  spool_.refuse_begin(transient_error("spool.full", "full"));

  const StowAnswer answer = post(related({{file(instance(1))}}));

  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.headers.get("Retry-After"), "30");
  EXPECT_THAT(answer.failed, ElementsAre(Pair(uid(1), 0xA700)));
}

TEST_F(Stow, ADiskThatFillsOnTheWayIs202) {
  spool_.fail_append_beyond(5000, transient_error("spool.full", "full"));
  DicomRecipe large = instance(2);
  large.rows = large.columns = 128;

  const StowAnswer answer = post(related({{file(instance(1))}, {file(large)}}));

  EXPECT_EQ(answer.status, 202);
  EXPECT_THAT(answer.stored, ElementsAre(Pair(uid(1), 0)));
  EXPECT_THAT(answer.failed, ElementsAre(Pair(uid(2), 0xA700)));
}

TEST_F(Stow, AClosedAdmissionIs503BeforeTheBody) {
  admission_.close(AdmissionState::stopping);

  const StowAnswer answer = post(related({{file(instance(1))}}));

  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.headers.get("Retry-After"), "30");
  EXPECT_TRUE(spool_.instances().empty());
}

TEST_F(Stow, ACommitThatFailsIsNotStored) {
  spool_.fail_commit(fatal_error("spool.directory_sync_failed", "the disk lies"));

  const StowAnswer answer = post(related({{file(instance(1))}}));

  EXPECT_EQ(answer.status, 503);
  EXPECT_TRUE(answer.stored.empty());
  EXPECT_THAT(answer.failed, ElementsAre(Pair(uid(1), 0xA700)));
}

http::Head head_of_a_request() {
  http::Head head;
  head.method = "POST";
  head.target = "/dicom-web/studies";
  head.headers = {{"Content-Type", related_type()}, {"Transfer-Encoding", "chunked"}};
  head.peer_address = "127.0.0.1";
  return head;
}

TEST_F(Stow, ARequestTooManyIs503) {
  open({.requests = 2});
  const auto first = router_->open(head_of_a_request());
  auto second = router_->open(head_of_a_request());

  EXPECT_EQ(post(related({{file(instance(1))}})).status, 503);
  second.reset();
  EXPECT_EQ(post(related({{file(instance(1))}})).status, 200);
}

TEST_F(Stow, ABodyThatCrawlsIs408) {
  auto crawling = router_->open(head_of_a_request());
  EXPECT_TRUE(crawling->feed(as_bytes("--")));
  env_.clock.advance(Milliseconds(61'000));
  EXPECT_FALSE(crawling->feed(as_bytes("a")));
  EXPECT_EQ(crawling->finish().status, 408);
  crawling.reset();

  open({.request_timeout = Milliseconds(30'000)});
  const auto late = router_->open(head_of_a_request());
  env_.clock.advance(Milliseconds(30'001));
  EXPECT_FALSE(late->feed(as_bytes(std::string(100'000, 'x'))));
  EXPECT_EQ(late->finish().status, 408);
}

TEST_F(Stow, WhatIsNotFinishedLeavesNothing) {
  const std::string body = related({{file(instance(1))}});
  auto exchange = router_->open(head_of_a_request());
  EXPECT_TRUE(exchange->feed(as_bytes(body.substr(0, body.size() / 2))));
  exchange.reset();

  EXPECT_TRUE(spool_.instances().empty());
  EXPECT_EQ(spool_.under_way(), 0U);
}

// --- parts are committed while the next one comes (decision 0021)

class StowAhead : public Stow {
 protected:
  // Large enough to be worth another thread.
  static std::string large(int number) {
    DicomRecipe recipe = instance(number);
    recipe.rows = recipe.columns = 400;
    return file(recipe);
  }
};

TEST_F(StowAhead, APartIsCommittedWhileTheNextOneComes) {
  const std::string body = related({{large(1)}, {large(2)}, {large(3)}});
  const std::size_t in_second_part = body.find(uid(2));
  spool_.close_gate();
  const auto exchange = router_->open(head_of_a_request());

  EXPECT_TRUE(exchange->feed(as_bytes(body.substr(0, in_second_part))));

  spool_.wait_for_commits_at_gate(1);  // and this thread is not the one that waits there
  EXPECT_TRUE(spool_.instances().empty());
  spool_.open_gate();
  EXPECT_TRUE(exchange->feed(as_bytes(body.substr(in_second_part))));
  const StowAnswer answer = StowAnswer::of(exchange->finish());
  EXPECT_EQ(answer.status, 200);
  EXPECT_THAT(answer.stored, ElementsAre(Pair(uid(1), 0), Pair(uid(2), 0), Pair(uid(3), 0)));
}

TEST_F(StowAhead, NoPartIsCalledStoredWhoseCommitFailed) {
  spool_.fail_commit(transient_error("spool.full", "full"));

  const StowAnswer answer = post(related({{large(1)}, {large(2)}, {large(3)}}));

  EXPECT_EQ(answer.status, 503);
  EXPECT_TRUE(answer.stored.empty());
  EXPECT_THAT(answer.failed,
              ElementsAre(Pair(uid(1), 0xA700), Pair(uid(2), 0xA700), Pair(uid(3), 0xA700)));
  EXPECT_EQ(spool_.under_way(), 0U);
}

TEST_F(StowAhead, ARequestThatGoesAwayWaitsForItsCommitAndLeavesTheRest) {
  const std::string body = related({{large(1)}, {large(2)}});
  const std::size_t in_second_part = body.find(uid(2));
  spool_.close_gate();
  auto exchange = router_->open(head_of_a_request());
  EXPECT_TRUE(exchange->feed(as_bytes(body.substr(0, in_second_part))));
  spool_.wait_for_commits_at_gate(1);
  spool_.open_gate();

  exchange.reset();

  EXPECT_EQ(spool_.under_way(), 0U);
  EXPECT_EQ(spool_.instances().size(), 1U);
}

TEST_F(Stow, LogsAndMetricsSayWhatHappenedWithoutTheDataSet) {
  DicomRecipe recipe = instance(1);
  recipe.patient_name = "SECRETNAME";
  recipe.patient_id = "SECRETID";
  post(related({{file(recipe)}, {"words"}}));

  EXPECT_TRUE(env_.log.contains("stow.answered"));
  EXPECT_TRUE(env_.log.contains("stored=1 failed=1"));
  EXPECT_TRUE(env_.log.contains("code=dicom.not_part10") || env_.log.contains("dicom.not_part10"));
  for (const std::string& line : env_.log.lines()) EXPECT_THAT(line, Not(HasSubstr("SECRET")));
  EXPECT_THAT(env_.metrics->text(), HasSubstr("isthmus_stow_requests_total{status=\"202\"} 1"));
  EXPECT_THAT(env_.metrics->text(), HasSubstr("isthmus_stow_instances_total{status=\"failed\"} 1"));
}

class StowSenders : public StowFixture {
 protected:
  StowSenders() : StowFixture(policy()) {}
  static SenderPolicy policy() {
    SenderPolicy policy;
    policy.mode = SenderMode::discover;
    policy.ae_titles = {"ARCHIVE"};
    Sender viewer;
    viewer.name = "viewer";
    viewer.calling_ae_titles = {"viewer-token"};
    viewer.sop_classes = {"images"};
    viewer.limits.bytes_per_second = 1000;
    viewer.destinations = std::vector<std::string>{"main"};
    policy.senders = {viewer};
    return policy;
  }
  void SetUp() override {
    senders_.on_refused([this](const SenderRequest& request, SenderRefusal, std::string_view) {
      noted_.push_back(request.calling_ae_title);
    });
    open({});
  }
  StowAnswer post_as(std::string caller, const std::string& body) {
    authenticator_.caller.name = std::move(caller);
    return post(body);
  }
  std::vector<std::string> noted_;
};

TEST_F(StowSenders, OnlyKnownCallersMayStore) {
  const std::string body = related({{file(instance(1))}});

  EXPECT_EQ(post_as("stranger", body).status, 403);
  EXPECT_THAT(post_as("stranger", body).body, HasSubstr("sender.unknown_sender"));
  EXPECT_THAT(noted_, ElementsAre("stranger", "stranger"));
  EXPECT_TRUE(spool_.instances().empty());
  EXPECT_EQ(post_as("viewer-token", body).status, 200);
  const auto kept = spool_.instance(uid(1));
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->origin.calling_ae_title, "viewer-token");
  EXPECT_THAT(kept->identified.destinations, ::testing::Optional(ElementsAre("main")));
}

TEST_F(StowSenders, NeedTheScopeToStore) {
  authenticator_.caller.scopes = {api::Scope::read, api::Scope::operate};
  EXPECT_EQ(post_as("viewer-token", related({{file(instance(1))}})).status, 403);
  authenticator_.caller.scopes = {api::Scope::store};
  EXPECT_EQ(post_as("viewer-token", related({{file(instance(1))}})).status, 200);
}

TEST_F(StowSenders, MayStoreTheClassesOfTheirPolicy) {
  DicomRecipe report = instance(1);
  report.sop_class_uid = "1.2.840.10008.5.1.4.1.1.88.11";

  const StowAnswer answer = post_as("viewer-token", related({{file(report)}, {file(instance(2))}}));

  EXPECT_EQ(answer.status, 202);
  EXPECT_THAT(answer.failed, ElementsAre(Pair(uid(1), 0x0122)));
}

TEST_F(StowSenders, ArePacedByTheirLimits) {
  authenticator_.caller.name = "viewer-token";
  const auto exchange = router_->open(head_of_a_request());
  EXPECT_TRUE(exchange->feed(as_bytes(std::string(5'000, 'x'))));

  EXPECT_EQ(exchange->pause(), Milliseconds(4'000));
  EXPECT_EQ(exchange->pause(), Milliseconds(0));
}

}  // namespace
}  // namespace isthmus::test
