#include "dicom/action_information.h"

#include <optional>
#include <string>

#include "dicom/transfer_syntax.h"
#include "dicom/walk/walker.h"

namespace isthmus::dicom {
namespace {

constexpr Tag kTransactionUid = make_tag(0x0008, 0x1195);
constexpr Tag kReferencedSopSequence = make_tag(0x0008, 0x1199);
constexpr Tag kReferencedSopClass = make_tag(0x0008, 0x1150);
constexpr Tag kReferencedSopInstance = make_tag(0x0008, 0x1155);
// Padding is one byte; what is longer is no UID.
constexpr std::size_t kKeptBytes = 66;
// An item holds two elements; devices add some of their own, and the retired Referenced Performed
// Procedure Step Sequence.
constexpr std::uint64_t kElementsPerReference = 16;
constexpr std::uint64_t kOtherElements = 1'000;
constexpr std::uint32_t kNesting = 8;

WalkLimits limits(std::size_t max_references) {
  WalkLimits limits;
  limits.nesting = kNesting;
  limits.elements = max_references * kElementsPerReference + kOtherElements;
  // A list in Implicit VR whose sequence has a length reads as one value until its items show.
  limits.guess_sequences = true;
  return limits;
}

Encoding encoding_of(std::string_view transfer_syntax_uid) {
  const auto& syntax = transfer_syntax_or_default(transfer_syntax_uid);
  return {.implicit_vr = syntax.implicit_vr, .big_endian = syntax.big_endian};
}

std::optional<Uid> uid_of(std::string_view value, std::uint64_t length) {
  if (length >= kKeptBytes) return std::nullopt;
  while (!value.empty() && (value.back() == '\0' || value.back() == ' ')) value.remove_suffix(1);
  return Uid::parse(value);
}

}  // namespace

class ActionInformation::Reader final : public WalkVisitor {
 public:
  Reader(std::string_view transfer_syntax_uid, std::size_t max_references)
      : max_references_(max_references),
        walker_(encoding_of(transfer_syntax_uid), limits(max_references), *this) {}

  void feed(ByteSpan bytes);
  std::size_t references() const { return action_.references.size(); }
  Result<Action> finish();

 private:
  Wish element(const ElementHead& head) override;
  void value(const ElementHead& head, std::string_view bytes) override;
  void item(std::uint32_t nesting) override;

  void end_item();
  void refuse(std::string what);

  const std::size_t max_references_;
  Walker walker_;
  std::optional<std::string> problem_;
  bool transaction_seen_ = false;
  bool sequence_seen_ = false;
  bool in_references_ = false;  // the last element of the top level is the Referenced SOP Sequence
  bool in_item_ = false;
  std::optional<Uid> class_uid_;  // of the item that is open
  std::optional<Uid> instance_uid_;
  Action action_;
};

void ActionInformation::Reader::feed(ByteSpan bytes) {
  if (problem_ || walker_.state() != Walker::State::more) return;
  walker_.feed(bytes);
}

Result<Action> ActionInformation::Reader::finish() {
  if (!problem_ && walker_.state() == Walker::State::more) walker_.finish();
  if (!problem_ && walker_.state() == Walker::State::failed) {
    refuse("The action information is not a data set.");
  }
  if (!problem_) end_item();
  if (problem_) return permanent_error("commitment.invalid_argument", *problem_);
  if (!transaction_seen_) {
    return permanent_error("commitment.missing_argument", "There is no Transaction UID.");
  }
  if (!sequence_seen_) {
    return permanent_error("commitment.missing_argument", "There is no Referenced SOP Sequence.");
  }
  // An empty list means nothing, and certainly not everything.
  if (action_.references.empty()) {
    return permanent_error("commitment.invalid_argument", "The list of references is empty.");
  }
  action_.references.sort_and_unite();
  return std::move(action_);
}

WalkVisitor::Wish ActionInformation::Reader::element(const ElementHead& head) {
  Wish wish;
  if (head.nesting == 0) {
    if (in_references_) end_item();
    in_references_ = head.tag == kReferencedSopSequence;
    if (in_references_ && sequence_seen_) refuse("The Referenced SOP Sequence comes twice.");
    sequence_seen_ = sequence_seen_ || in_references_;
    if (head.tag == kTransactionUid) wish.keep_bytes = kKeptBytes;
  } else if (head.nesting == 1 && in_references_ &&
             (head.tag == kReferencedSopClass || head.tag == kReferencedSopInstance)) {
    wish.keep_bytes = kKeptBytes;
  }
  wish.stop = problem_.has_value();
  return wish;
}

void ActionInformation::Reader::value(const ElementHead& head, std::string_view bytes) {
  const std::optional<Uid> uid = uid_of(bytes, head.length);
  if (!uid) return refuse("A UID is missing, too long or breaks the rules for UIDs.");
  switch (head.tag) {
    case kTransactionUid:
      transaction_seen_ = true;
      action_.transaction_uid = *uid;
      return;
    case kReferencedSopClass:
      class_uid_ = uid;
      return;
    default:
      instance_uid_ = uid;
  }
}

void ActionInformation::Reader::item(std::uint32_t nesting) {
  if (nesting != 1 || !in_references_) return;
  end_item();
  in_item_ = true;
}

void ActionInformation::Reader::end_item() {
  if (!in_item_) return;
  in_item_ = false;
  if (!class_uid_ || !instance_uid_) return refuse("An item lacks a UID.");
  if (action_.references.size() >= max_references_) {
    return refuse("More than commitment.max_references references are in one request.");
  }
  if (!action_.references.add(*class_uid_, *instance_uid_)) {
    return refuse("The references are of more SOP classes than there are.");
  }
  class_uid_.reset();
  instance_uid_.reset();
}

void ActionInformation::Reader::refuse(std::string what) {
  if (problem_) return;
  problem_ = std::move(what);
  action_ = {};
}

ActionInformation::ActionInformation(std::string_view transfer_syntax_uid,
                                     std::size_t max_references)
    : reader_(std::make_unique<Reader>(transfer_syntax_uid, max_references)) {}

ActionInformation::~ActionInformation() = default;

void ActionInformation::feed(ByteSpan bytes) {
  reader_->feed(bytes);
}

std::size_t ActionInformation::references() const {
  return reader_->references();
}

Result<Action> ActionInformation::finish() {
  return reader_->finish();
}

}  // namespace isthmus::dicom
