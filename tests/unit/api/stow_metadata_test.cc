// Instances that come as metadata and bulk data (PS3.18 section 8.6.1.2.4).
#include "unit/api/stow_fixture.h"

namespace isthmus::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

constexpr const char* kJson = "Content-Type: application/dicom+json\r\n";
constexpr const char* kXml = "Content-Type: application/dicom+xml\r\n";

std::string bulk_head(std::string_view uri, std::string_view type = "application/octet-stream") {
  return "Content-Type: " + std::string(type) + "\r\nContent-Location: " + std::string(uri) +
         "\r\n";
}

std::string pixels_of(std::size_t bytes) {
  std::string pixels;
  while (pixels.size() < bytes) pixels += "\r\n--" + std::to_string(pixels.size() * 7919);
  pixels.resize(bytes);
  return pixels;
}

// `more` stands before the pixel data.
std::string json_of(int number, std::string_view pixel_uri, std::string_view more = "") {
  const std::string uid = "2.25.7.1." + std::to_string(number);
  return R"({"00080016":{"vr":"UI","Value":["1.2.840.10008.5.1.4.1.1.2"]},
    "00080018":{"vr":"UI","Value":[")" +
         uid + R"("]},"00080060":{"vr":"CS","Value":["CT"]},
    "0020000D":{"vr":"UI","Value":["2.25.7"]},"0020000E":{"vr":"UI","Value":["2.25.7.1"]},)" +
         std::string(more) + R"("7FE00010":{"vr":"OW","BulkDataURI":")" + std::string(pixel_uri) +
         R"("}})";
}

constexpr const char* kDescription =
    R"("00280002":{"vr":"US","Value":[1]},"00280004":{"vr":"CS","Value":["MONOCHROME2"]},
       "00280010":{"vr":"US","Value":[16]},"00280011":{"vr":"US","Value":[16]},
       "00280100":{"vr":"US","Value":[8]},"00280101":{"vr":"US","Value":[8]},
       "00280102":{"vr":"US","Value":[7]},"00280103":{"vr":"US","Value":[0]},)";

class StowMetadata : public StowFixture {
 protected:
  StowAnswer post_json(const std::vector<StowPart>& parts) {
    return post(related(parts), related_type("application/dicom+json"));
  }
  std::string dataset(int number) {
    const auto kept = spool_.instance("2.25.7.1." + std::to_string(number));
    return kept ? kept->dataset() : "(not there)";
  }
  bool scratch_is_empty() {
    return env_.env().files.list(env_.folder() / "scratch").value().empty();
  }
};

TEST_F(StowMetadata, JsonAndBulkDataBecomeADataSet) {
  const std::string pixels = pixels_of(200'001);

  const StowAnswer answer =
      post_json({{"[" + json_of(1, "bulk/1") + "]", kJson}, {pixels, bulk_head("bulk/1")}});

  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_THAT(answer.stored, ElementsAre(Pair(uid(1), 0)));
  DicomWriter wanted;
  wanted.element(0x00080016, "UI", kCtImageStorage)
      .element(0x00080018, "UI", uid(1))
      .element(0x00080060, "CS", "CT")
      .element(0x0020000D, "UI", "2.25.7")
      .element(0x0020000E, "UI", "2.25.7.1")
      .element(0x7FE00010, "OW", pixels);
  EXPECT_TRUE(dataset(1) == wanted.bytes());
  EXPECT_EQ(spool_.instance(uid(1))->identified.transfer_syntax_uid, kExplicitLittle);
  EXPECT_TRUE(scratch_is_empty());
}

TEST_F(StowMetadata, EveryKindOfValueIsWrittenAsItsVrWantsIt) {
  const std::string more = R"("00080005":{"vr":"CS","Value":["ISO_IR 192"]},
    "00100010":{"vr":"PN","Value":[{"Alphabetic":"A^B","Ideographic":"王"}]},
    "00189073":{"vr":"FD","Value":[1.5]},"00181151":{"vr":"IS","Value":[20,"3"]},
    "00081140":{"vr":"SQ","Value":[{"00081155":{"vr":"UI","Value":["1.2"]}},{}]},
    "00081115":{"vr":"SQ"},"00280009":{"vr":"AT","Value":["00181063"]},
    "00282110":{"vr":"CS","Value":[null]},"00291010":{"vr":"SS","Value":[-2,3]},
    "00291011":{"vr":"OB","InlineBinary":"AAEC"},
    "00291012":{"vr":"UV","Value":["18446744073709551615"]},
    "00291013":{"vr":"FL","Value":[-0.5]},)";

  const StowAnswer answer = post_json({{json_of(1, "b", more), kJson}, {"xy", bulk_head("b")}});

  ASSERT_EQ(answer.status, 200) << answer.body;
  DicomWriter item;
  item.element(0x00081155, "UI", "1.2");
  DicomWriter wanted;
  wanted.element(0x00080005, "CS", "ISO_IR 192")
      .element(0x00080016, "UI", kCtImageStorage)
      .element(0x00080018, "UI", uid(1))
      .element(0x00080060, "CS", "CT")
      .sequence(0x00081115, {}, false)
      .sequence(0x00081140, {item.bytes(), ""}, true)
      .element(0x00100010, "PN", "A^B=王")
      .element(0x00181151, "IS", "20\\3")
      .element(0x00189073, "FD", std::string("\0\0\0\0\0\0\xF8\x3F", 8))
      .element(0x0020000D, "UI", "2.25.7")
      .element(0x0020000E, "UI", "2.25.7.1")
      .element(0x00280009, "AT", std::string("\x18\0\x63\x10", 4))
      .element(0x00282110, "CS", "")
      .element(0x00291010, "SS", std::string("\xFE\xFF\3\0", 4))
      .element(0x00291011, "OB", std::string("\0\1\2", 3))
      .element(0x00291012, "UV", std::string(8, '\xFF'))
      .element(0x00291013, "FL", std::string("\0\0\0\xBF", 4))
      .element(0x7FE00010, "OW", "xy");
  EXPECT_EQ(dataset(1), wanted.bytes());
}

TEST_F(StowMetadata, XmlIsTakenAPartForEachInstance) {
  const auto xml = [](int number) {
    const auto attribute = [](const char* tag, const char* vr, const std::string& value) {
      return std::string("<DicomAttribute tag=\"") + tag + "\" vr=\"" + vr +
             "\"><Value number=\"1\">" + value + "</Value></DicomAttribute>";
    };
    return "<NativeDicomModel>" + attribute("00080016", "UI", std::string(kCtImageStorage)) +
           attribute("00080018", "UI", "2.25.7.1." + std::to_string(number)) +
           attribute("0020000D", "UI", "2.25.7") + attribute("0020000E", "UI", "2.25.7.1") +
           "<DicomAttribute tag=\"7FE00010\" vr=\"OB\"><BulkData uri=\"p" + std::to_string(number) +
           "\"/></DicomAttribute></NativeDicomModel>";
  };

  const StowAnswer answer = post(related({{xml(1), kXml},
                                          {xml(2), kXml},
                                          {"<NativeDicomModel>", kXml},
                                          {"one!", bulk_head("p1")},
                                          {"two!", bulk_head("p2")}}),
                                 related_type("application/dicom+xml"));

  EXPECT_EQ(answer.status, 202) << answer.body;
  EXPECT_THAT(answer.stored, UnorderedElementsAre(Pair(uid(1), 0), Pair(uid(2), 0)));
  EXPECT_THAT(answer.other_failures, ElementsAre(0xC000));
  EXPECT_THAT(dataset(2), HasSubstr("two!"));
}

TEST_F(StowMetadata, ACompressedImageBecomesOneFragment) {
  const std::string stream = "\xFF\xD8 a code stream\xFF\xD9";
  const std::string type = "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50";

  const StowAnswer answer =
      post_json({{json_of(1, "p", kDescription), kJson}, {stream, bulk_head("p", type)}});

  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(spool_.instance(uid(1))->identified.transfer_syntax_uid, kJpegBaseline);
  DicomWriter pixels;
  pixels.fragments({stream.size() % 2 ? stream + '\0' : stream}, "");
  EXPECT_TRUE(dataset(1).ends_with(pixels.bytes()));
}

TEST_F(StowMetadata, WhatCannotBePutTogetherFailsAlone) {
  const auto refused = [&](std::string metadata, std::string type) {
    return post_json({{std::move(metadata), kJson}, {"stream", bulk_head("p", type)}}).failed;
  };
  const auto is_refused = ElementsAre(Pair(uid(1), 0xC000));
  EXPECT_THAT(refused(json_of(1, "q"), "application/octet-stream"), is_refused);
  EXPECT_THAT(refused(json_of(1, "p", kDescription), "image/jpeg"), is_refused);
  EXPECT_THAT(refused(json_of(1, "p"), "image/jp2"), is_refused);
  EXPECT_THAT(
      refused(json_of(1, "p", std::string(kDescription) + R"("00280008":{"vr":"IS","Value":[2]},)"),
              "image/jp2"),
      is_refused);
  EXPECT_THAT(refused(json_of(1, "p", R"("00280012":{"vr":"US","Value":["x"]},)"),
                      "application/octet-stream"),
              is_refused);

  const StowAnswer some = post_json(
      {{"[" + json_of(1, "q") + "," + json_of(2, "p") + "]", kJson}, {"pp", bulk_head("p")}});
  EXPECT_EQ(some.status, 202);
  EXPECT_THAT(some.stored, ElementsAre(Pair(uid(2), 0)));
  EXPECT_EQ(post_json({{"{", kJson}}).status, 400);
  EXPECT_EQ(spool_.instances().size(), 1U);
  EXPECT_TRUE(scratch_is_empty());
}

TEST_F(StowMetadata, TextThatIsNotAsciiIsSaidToBeUtf8) {
  const std::string more = R"("00080005":{"vr":"CS","Value":["ISO_IR 100"]},
    "00081030":{"vr":"LO","Value":["Schädel"]},)";

  const StowAnswer answer = post_json({{json_of(1, "b", more), kJson}, {"xy", bulk_head("b")}});

  EXPECT_EQ(answer.status, 202);
  EXPECT_THAT(answer.stored, ElementsAre(Pair(uid(1), 0xB000)));
  EXPECT_THAT(dataset(1), HasSubstr("ISO_IR 192"));
  EXPECT_THAT(dataset(1), HasSubstr("Schädel"));
}

TEST_F(StowMetadata, MetadataHaveALimitAndBulkDataDoNotHoldMemory) {
  api::StowOptions options;
  options.max_metadata_bytes = 2000;
  open(options);
  EXPECT_EQ(post_json({{json_of(1, "b") + std::string(3000, ' '), kJson}}).status, 413);
  EXPECT_EQ(post_json({{json_of(1, "b"), kJson}, {pixels_of(5'000'000), bulk_head("b")}}).status,
            200);
  EXPECT_TRUE(scratch_is_empty());
}

TEST_F(StowMetadata, ARequestThatIsNotFinishedLeavesNothing) {
  const std::string body = related({{json_of(1, "b"), kJson}, {"xy", bulk_head("b")}});
  http::Head head;
  head.method = "POST";
  head.target = "/dicom-web/studies";
  head.headers = {{"Content-Type", related_type("application/dicom+json")},
                  {"Transfer-Encoding", "chunked"}};
  auto exchange = router_->open(head);
  EXPECT_TRUE(exchange->feed(as_bytes(body.substr(0, body.size() - 50))));
  EXPECT_FALSE(scratch_is_empty());

  exchange.reset();

  EXPECT_TRUE(scratch_is_empty());
  EXPECT_EQ(admission_.in_flight_bytes(), 0);
}

TEST_F(StowMetadata, WhatAKilledProcessLeftIsSwept) {
  ASSERT_THAT(
      env_.env().files.open(env_.folder() / "scratch" / "0123.parts", FileSystem::Mode::create_new),
      IsOk());
  EXPECT_THAT(stow_->recover(), IsOk());
  EXPECT_TRUE(scratch_is_empty());
}

}  // namespace
}  // namespace isthmus::test
