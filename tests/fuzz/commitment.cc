// Action information of storage commitment (N-ACTION): however it is cut the same list comes out,
// sorted, bounded, each reference once; and what comes out is read again as it is.
#include "dicom/action_information.h"
#include "fuzz/fuzz.h"

namespace isthmus::fuzz {
namespace {

constexpr std::size_t kMaxReferences = 20;
constexpr const char* kImplicit = "1.2.840.10008.1.2";
constexpr const char* kExplicit = "1.2.840.10008.1.2.1";

Result<dicom::Action> read(const char* syntax, const std::vector<ByteSpan>& pieces) {
  dicom::ActionInformation information(syntax, kMaxReferences);
  for (const ByteSpan piece : pieces) {
    information.feed(piece);
    check(information.references() <= kMaxReferences, "no more than allowed is held");
  }
  return information.finish();
}

std::string little(std::size_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>((value >> (8 * i)) & 0xff);
  return text;
}

// Implicit VR Little Endian.
std::string element(unsigned group, unsigned number, std::string value) {
  if (value.size() % 2 != 0) value += '\0';
  return little(group, 2) + little(number, 2) + little(value.size(), 4) + value;
}

std::string written(const dicom::Action& action) {
  std::string items;
  for (std::size_t i = 0; i < action.references.size(); ++i) {
    const auto one = action.references[i];
    items += element(0xFFFE, 0xE000,
                     element(0x0008, 0x1150, std::string(one.sop_class_uid)) +
                         element(0x0008, 0x1155, std::string(one.sop_instance_uid)));
  }
  return element(0x0008, 0x1195, action.transaction_uid.text()) + element(0x0008, 0x1199, items);
}

void run(ByteSpan input) {
  if (input.empty()) return;
  const char* const syntax = (input[0] & std::byte{1}) == std::byte{0} ? kImplicit : kExplicit;
  const Cut cut = read_cut(input.subspan(1));
  const auto whole = read(syntax, {cut.bytes});
  const auto pieces = read(syntax, cut.pieces());
  check_equal(whole.ok(), pieces.ok(), "cut anywhere, the same verdict");
  if (!whole.ok()) {
    check_equal(whole.error().code, pieces.error().code, "for the same reason");
    check(whole.error().code == "commitment.missing_argument" ||
              whole.error().code == "commitment.invalid_argument",
          "one of two codes");
    return;
  }
  check_equal(whole->references.digest().hex(), pieces->references.digest().hex(), "one list");
  check(!whole->references.empty(), "an empty list is no list");
  for (std::size_t i = 1; i < whole->references.size(); ++i) {
    const auto before = whole->references[i - 1];
    const auto after = whole->references[i];
    check(before.sop_instance_uid != after.sop_instance_uid ||
              before.sop_class_uid != after.sop_class_uid,
          "each once");
  }
  const std::string again = written(*whole);
  const auto reread = read(kImplicit, {as_bytes(again)});
  check(reread.ok(), "what was read can be written and read");
  check_equal(reread->references.digest().hex(), whole->references.digest().hex(), "the same list");
  check_equal(reread->transaction_uid.text(), whole->transaction_uid.text(), "the same request");
}

std::vector<std::string> seeds() {
  dicom::Action action;
  action.transaction_uid = *Uid::parse("2.25.77");
  for (const char* instance : {"2.25.1", "2.25.2", "2.25.3"}) {
    check(action.references.add(*Uid::parse("1.2.840.10008.5.1.4.1.1.2"), *Uid::parse(instance)),
          "a seed");
  }
  const std::string sound = written(action);
  std::vector<std::string> seeds;
  for (const std::string& bytes : {sound, sound.substr(0, 60), sound.substr(14), std::string()}) {
    seeds.push_back(std::string(1, '\0') + cut_head({3, 20}) + bytes);
    seeds.push_back(std::string(1, '\1') + cut_head({}) + bytes);
  }
  for (const std::string& bytes : shared_files("dicom/hostile", 64 * KiB)) {
    seeds.push_back(std::string(1, '\1') + cut_head({9}) + bytes);
  }
  return seeds;
}

}  // namespace

Harness commitment_harness() {
  return {"commitment", run, 64 * KiB, seeds};
}

}  // namespace isthmus::fuzz
