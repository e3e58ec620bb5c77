// Action information as devices write it, and as nobody should.
#include "dicom/action_information.h"

#include <gtest/gtest.h>

#include "support/matchers.h"

namespace isthmus::dicom {
namespace {

using test::FailsWith;
using test::IsOk;

constexpr const char* kImplicit = "1.2.840.10008.1.2";
constexpr const char* kExplicit = "1.2.840.10008.1.2.1";
constexpr const char* kCt = "1.2.840.10008.5.1.4.1.1.2";

std::string little(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>((value >> (8 * i)) & 0xff);
  return text;
}

// Elements in Little Endian, either VR; lengths of sequences defined or not.
struct Form {
  bool explicit_vr = false;
  bool undefined_lengths = false;

  const char* syntax() const { return explicit_vr ? kExplicit : kImplicit; }
  std::string uid(unsigned element, std::string value) const {
    if (value.size() % 2 != 0) value += '\0';
    const std::string tag = little(0x0008, 2) + little(element, 2);
    if (explicit_vr) return tag + "UI" + little(value.size(), 2) + value;
    return tag + little(value.size(), 4) + value;
  }
  std::string sequence(unsigned element, const std::string& items) const {
    const std::string tag = little(0x0008, 2) + little(element, 2);
    const std::string vr = explicit_vr ? std::string("SQ\0\0", 4) : "";
    if (!undefined_lengths) return tag + vr + little(items.size(), 4) + items;
    return tag + vr + little(0xffffffff, 4) + items + little(0xE0DDFFFE, 4) + little(0, 4);
  }
  std::string item(const std::string& content) const {
    const std::string tag = little(0xFFFE, 2) + little(0xE000, 2);
    if (!undefined_lengths) return tag + little(content.size(), 4) + content;
    return tag + little(0xffffffff, 4) + content + little(0xFFFE, 2) + little(0xE00D, 2) +
           little(0, 4);
  }
  std::string reference(const std::string& instance, const std::string& sop_class = kCt) const {
    return item(uid(0x1150, sop_class) + uid(0x1155, instance));
  }
  std::string request(const std::string& items) const {
    return uid(0x1195, "1.2.3") + sequence(0x1199, items);
  }
};

Result<Action> read(std::string_view bytes, const char* syntax = kImplicit,
                    std::size_t max_references = 100, std::size_t piece = 1000) {
  ActionInformation information(syntax, max_references);
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    information.feed(as_bytes(bytes.substr(at, piece)));
  }
  return information.finish();
}

TEST(ActionInformation, IsReadInEveryFormAndHoweverItIsCut) {
  for (const Form form :
       {Form{false, false}, Form{false, true}, Form{true, false}, Form{true, true}}) {
    const std::string bytes =
        form.uid(0x1195, "1.2.3") + form.sequence(0x1111, form.item(form.uid(0x1150, "1.5"))) +
        form.sequence(0x1199,
                      form.reference("1.2.9") + form.reference("1.2.8") + form.reference("1.2.9"));
    for (const std::size_t piece : {1U, 7U, 1000U}) {
      const auto action = read(bytes, form.syntax(), 100, piece);
      ASSERT_THAT(action, IsOk()) << form.explicit_vr << form.undefined_lengths << piece;
      EXPECT_EQ(action->transaction_uid.text(), "1.2.3");
      ASSERT_EQ(action->references.size(), 2U) << "each once";
      EXPECT_EQ(action->references[0].sop_instance_uid, "1.2.8");
      EXPECT_EQ(action->references[1].sop_instance_uid, "1.2.9");
      EXPECT_EQ(action->references[1].sop_class_uid, kCt);
    }
  }
}

TEST(ActionInformation, ElementsOfTheirOwnInItemsDoNotDisturb) {
  const Form form;
  const std::string own = form.sequence(0x1140, form.item(form.uid(0x1155, "9.9")));

  const auto action = read(form.request(
      form.item(form.uid(0x1150, kCt) + form.uid(0x1155, "1.2.9") + own) + form.reference("1.3")));

  ASSERT_THAT(action, IsOk());
  ASSERT_EQ(action->references.size(), 2U);
  EXPECT_EQ(action->references[0].sop_instance_uid, "1.2.9");
}

TEST(ActionInformation, WhatIsMissingIsMissing) {
  const Form form;

  EXPECT_THAT(read(""), FailsWith("commitment.missing_argument"));
  EXPECT_THAT(read(form.uid(0x1195, "1.2.3")), FailsWith("commitment.missing_argument"));
  EXPECT_THAT(read(form.sequence(0x1199, form.reference("1.2.9"))),
              FailsWith("commitment.missing_argument"));
}

TEST(ActionInformation, WhatIsWrongIsInvalid) {
  const Form form;
  const std::string one = form.reference("1.2.9");
  const std::string deep = [&] {
    std::string nested = form.uid(0x1155, "1");
    for (int i = 0; i < 1000; ++i) nested = form.sequence(0x1199, form.item(nested));
    return nested;
  }();
  for (const std::string& bytes : {
           form.request(""),                                            // an empty list is no list
           form.request(form.item("")),                                 // nor is an empty item
           form.request(form.item(form.uid(0x1150, kCt))),              // no instance
           form.request(form.item(form.uid(0x1155, "1.2"))),            // no class
           form.request(form.reference("")),                            // empty
           form.request(form.reference("1.2.x")),                       // no UID
           form.request(form.reference(std::string(65, '1'))),          // too long
           form.request(one + form.item(form.uid(0x1150, kCt)) + one),  // one of three
           form.uid(0x1195, "") + form.sequence(0x1199, one),
           form.uid(0x1195, "a.b") + form.sequence(0x1199, one),
           form.request(one) + form.sequence(0x1199, one),  // twice
           form.request(one).substr(0, 40),                 // cut off
           std::string("\x08\0\x95\x11\xff\xff\xff\x7f", 8),
           deep,
       }) {
    EXPECT_THAT(read(bytes), FailsWith("commitment.invalid_argument", Fate::permanent));
  }
}

TEST(ActionInformation, MoreThanAllowedIsRefusedAndNotKept) {
  const Form form;
  std::string items;
  for (int i = 0; i < 5; ++i) items += form.reference("1.2." + std::to_string(i));

  EXPECT_THAT(read(form.request(items), kImplicit, 5), IsOk());
  EXPECT_THAT(read(form.request(items), kImplicit, 4), FailsWith("commitment.invalid_argument"));

  ActionInformation information(kImplicit, 4);
  information.feed(as_bytes(form.request(items)));
  EXPECT_LE(information.references(), 4U);
}

}  // namespace
}  // namespace isthmus::dicom
