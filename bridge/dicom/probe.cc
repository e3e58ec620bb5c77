#include "dicom/probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "dicom/transfer_syntax.h"
#include "dicom/walk/inflater.h"
#include "dicom/walk/walker.h"

namespace isthmus::dicom {
namespace {

constexpr std::size_t kUidBytes = 64;             // PS3.5 section 9.1
constexpr std::size_t kPatientIdBytes = 1 * KiB;  // LO has 64 characters; longer ones occur
constexpr std::size_t kModalityBytes = 16;        // CS
constexpr std::size_t kFreeTextBytes = 256;       // LO: 64 characters of up to 4 bytes
constexpr std::size_t kAccessionBytes = 256;      // SH has 16 characters; longer ones occur

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\0' || text.back() == ' ')) text.remove_suffix(1);
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  return text;
}

// The Modality goes into rows and on screens: nothing but what a CS may hold (PS3.5 section 6.2).
std::string modality_of(std::string_view value) {
  const bool good = std::all_of(value.begin(), value.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == ' ' || c == '_';
  });
  return good && value.size() <= kModalityBytes ? std::string(value) : std::string();
}

// A UID of the identity: not seen, seen and usable, or seen and not usable.
struct UidField {
  UidField(Tag of, const char* keyword) : tag(of), name(keyword) {}

  Tag tag;
  const char* name;
  bool seen = false;
  std::string text;
  const char* wrong = nullptr;
};

class StreamProbe final : public Probe, private WalkVisitor {
 public:
  StreamProbe(const TransferSyntax& syntax, const ProbeLimits& limits)
      : limits_(limits),
        walker_({.implicit_vr = syntax.implicit_vr, .big_endian = syntax.big_endian},
                {.nesting = limits.nesting,
                 .elements = limits.elements,
                 .head_bytes = limits.head_bytes,
                 .stop_at_padding = true},
                *this) {
    if (syntax.deflated) {
      inflater_ = std::make_unique<Inflater>(
          InflateLimits{.out_bytes = limits.head_bytes, .ratio = limits.inflate_ratio});
    }
  }

  State feed(ByteSpan bytes) override {
    if (state_ != State::more) return state_;
    if (inflater_) {
      feed_deflated(bytes);
    } else {
      note(walker_.feed(bytes));
    }
    return state_;
  }

  Result<Identity> finish() override {
    if (state_ == State::more) {
      if (inflater_) {
        if (const Result<void> end = inflater_->finish(); !end.ok()) fail(end.error());
      }
      if (state_ == State::more) note(walker_.finish());
      if (state_ == State::more) state_ = State::done;
    }
    if (state_ == State::failed) return *error_;
    return identity();
  }

  std::string_view seen_sop_class_uid() const override { return uids_[0].text; }
  std::string_view seen_sop_instance_uid() const override { return uids_[1].text; }
  std::string_view seen_study_description() const override { return study_description_; }
  std::string_view seen_institution_name() const override { return institution_name_; }

 private:
  void feed_deflated(ByteSpan bytes) {
    const Result<void> fed = inflater_->feed(bytes, [this](ByteSpan piece) {
      note(walker_.feed(piece));
      return state_ == State::more;
    });
    if (state_ == State::more && !fed.ok()) fail(fed.error());
  }

  void note(Walker::State walked) {
    if (walked == Walker::State::failed) return fail(walker_.error());
    if (walked == Walker::State::stopped) state_ = State::done;
  }

  // One code for all of the reasons that come from the structure.
  void fail(const Error& error) {
    state_ = State::failed;
    error_ = error;
    if (error.fate == Fate::permanent) error_->code = "dicom.unreadable";
  }

  Wish element(const ElementHead& head) override {
    if (!head.top_level()) return {};
    in_order_ = in_order_ && head.tag >= last_;
    last_ = head.tag;
    if (head.tag > kSeriesInstanceUid && complete()) return {.stop = true};
    if (UidField* uid = uid_field(head.tag)) return wish_for(*uid, head);
    if (head.tag == kPatientId && !patient_id_) return {.keep_bytes = kPatientIdBytes};
    // One byte more than the padding needs tells that it is too long.
    if (head.tag == kAccessionNumber && !accession_number_)
      return {.keep_bytes = kAccessionBytes + 2};
    if (head.tag == kModality && !modality_) return {.keep_bytes = kModalityBytes + 2};
    if (free_text(head.tag) != nullptr && !head.opens_sequence) {
      return {.keep_bytes = kFreeTextBytes};
    }
    return {};
  }

  // All that must be there was seen, and what may be there would have been.
  bool complete() const {
    const bool uids =
        std::all_of(uids_.begin(), uids_.end(), [](const UidField& u) { return u.seen; });
    return uids && (in_order_ || (patient_id_ && modality_));
  }

  Wish wish_for(UidField& uid, const ElementHead& head) {
    if (head.opens_sequence || head.length == kUndefinedLength) {
      uid.seen = true;
      uid.wrong = "is a sequence";
      return {};
    }
    if (head.length > kUidBytes + 2) {
      uid.seen = true;
      uid.wrong = "is longer than 64 characters or has several values";
      return {};
    }
    return {.keep_bytes = kUidBytes + 2};
  }

  void value(const ElementHead& head, std::string_view bytes) override {
    const std::string_view text = trimmed(bytes);
    if (UidField* uid = uid_field(head.tag)) {
      if (uid->seen && uid->text != text) uid->wrong = "occurs twice with different values";
      if (!uid->seen) uid->text = text;
      uid->seen = true;
    } else if (head.tag == kPatientId) {
      patient_id_ = text;
    } else if (head.tag == kAccessionNumber) {
      accession_number_ = text.size() <= kAccessionBytes ? text : std::string_view();
    } else if (head.tag == kModality) {
      modality_ = modality_of(text);
    } else if (std::string* kept = free_text(head.tag); kept != nullptr && kept->empty()) {
      *kept = text;
    }
  }

  std::string* free_text(Tag tag) {
    if (tag == kStudyDescription) return &study_description_;
    return tag == kInstitutionName ? &institution_name_ : nullptr;
  }

  UidField* uid_field(Tag tag) {
    for (UidField& uid : uids_) {
      if (uid.tag == tag) return &uid;
    }
    return nullptr;
  }

  Result<Identity> identity() const {
    std::array<Uid, 4> parsed;
    for (std::size_t i = 0; i < uids_.size(); ++i) {
      const UidField& field = uids_[i];
      if (field.wrong == nullptr && field.text.empty()) {
        return permanent_error("dicom.missing_uid",
                               fmt::format("{} {} is {}.", field.name, tag_text(field.tag),
                                           field.seen ? "empty" : "missing"));
      }
      const std::optional<Uid> uid = Uid::parse(field.text);
      if (field.wrong != nullptr || !uid) {
        return permanent_error(
            "dicom.invalid_uid",
            fmt::format("{} {} {}.", field.name, tag_text(field.tag),
                        field.wrong != nullptr ? field.wrong : "breaks the rules of PS3.5 9.1"));
      }
      parsed[i] = *uid;
    }
    return Identity{.sop_class_uid = parsed[0],
                    .sop_instance_uid = parsed[1],
                    .series_instance_uid = parsed[3],
                    .study_instance_uid = parsed[2],
                    .patient_id = patient_id_.value_or(""),
                    .modality = modality_.value_or(""),
                    .accession_number = accession_number_.value_or("")};
  }

  const ProbeLimits limits_;
  std::array<UidField, 4> uids_{{{kSopClassUid, "SOPClassUID"},
                                 {kSopInstanceUid, "SOPInstanceUID"},
                                 {kStudyInstanceUid, "StudyInstanceUID"},
                                 {kSeriesInstanceUid, "SeriesInstanceUID"}}};
  std::optional<std::string> patient_id_;
  std::optional<std::string> modality_;
  std::optional<std::string> accession_number_;
  std::string study_description_;
  std::string institution_name_;
  Tag last_ = 0;
  bool in_order_ = true;
  State state_ = State::more;
  std::optional<Error> error_;
  std::unique_ptr<Inflater> inflater_;
  Walker walker_;
};

}  // namespace

std::unique_ptr<Probe> make_probe(std::string_view transfer_syntax_uid, ProbeLimits limits) {
  return std::make_unique<StreamProbe>(transfer_syntax_or_default(transfer_syntax_uid), limits);
}

}  // namespace isthmus::dicom
