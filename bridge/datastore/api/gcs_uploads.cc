// Objects on their way in: media, multipart, and the sessions of resumable uploads, whose pieces
// are parts like those of an S3 multipart upload and outlive the process.
#include <algorithm>
#include <charconv>

#include "datastore/api/gcs.h"
#include "datastore/api/google_errors.h"
#include "wire/multipart.h"
#include "wire/s3.h"

namespace isthmus::datastore {
namespace {

constexpr std::uint64_t kPieceBytes = 256 * KiB;  // every piece but the last is a multiple of it
constexpr std::uint64_t kMostMetadataBytes = 1 * MiB;

Error invalid(std::string message) {
  return permanent_error("INVALID_ARGUMENT", std::move(message));
}

std::uint64_t kept_bytes(const std::vector<PartRecord>& parts) {
  std::uint64_t kept = 0;
  for (const PartRecord& part : parts) kept += part.size_bytes;
  return kept;
}

gcs::ObjectWishes wishes_of(const GcsCall& call) {
  gcs::ObjectWishes wishes;
  wishes.name = call.parameter("name");
  if (const std::string encoding = call.parameter("contentEncoding"); !encoding.empty()) {
    wishes.headers.emplace_back("Content-Encoding", encoding);
  }
  return wishes;
}

void set_type(gcs::ObjectWishes& wishes, std::string_view type) {
  const bool said = std::ranges::any_of(
      wishes.headers, [](const auto& field) { return field.first == "Content-Type"; });
  if (!said && !type.empty()) wishes.headers.emplace_back("Content-Type", std::string(type));
}

Result<ObjectName> name_of(const GcsCall& call, const gcs::ObjectWishes& wishes) {
  if (wishes.name.empty()) return invalid("Required parameter: name");
  if (wishes.name.size() > wire::s3::kMaxKeyBytes || wishes.name.find('\0') != std::string::npos) {
    return invalid("Invalid object name.");
  }
  if (!wire::s3::valid_bucket_name(call.name.bucket)) return invalid("Invalid bucket name.");
  return ObjectName{call.name.bucket, wishes.name};
}

http::Response incomplete(const GcsCall& call, std::uint64_t kept) {
  http::Response response;
  // "X-GUploader-No-308: yes turns 308 into 200" (contract, section 1).
  const bool plain = call.head.headers.get("X-GUploader-No-308") == "yes";
  response.status = plain ? 200 : 308;
  if (plain) response.headers.set("X-HTTP-Status-Code-Override", "308");
  if (kept > 0) response.headers.set("Range", "bytes=0-" + std::to_string(kept - 1));
  return response;
}

}  // namespace

// A body on its way into a blob, summed as it goes.
class BlobIntake {
 public:
  explicit BlobIntake(std::unique_ptr<BlobWriter> blob) : blob_(std::move(blob)) {}
  Result<void> take(ByteSpan bytes) {
    md5_.update(bytes);
    sum_.update(bytes);
    return blob_->append(bytes);
  }
  std::uint64_t size_bytes() const { return blob_->size_bytes(); }
  struct Whole {
    BlobPin pin;
    std::string md5, crc32c;
  };
  Result<Whole> finish() {
    Whole whole;
    whole.md5 = to_hex(md5_.finish());
    whole.crc32c = sum_.finish();
    TRY_ASSIGN(whole.pin, blob_->finish());
    return whole;
  }

 private:
  std::unique_ptr<BlobWriter> blob_;
  Md5 md5_;
  RunningChecksum sum_{"crc32c"};
};

// An object that comes whole: as the body, or as the second of two parts behind its metadata.
class GcsUpload : public http::Exchange, private wire::PartSink {
 public:
  GcsUpload(GcsApi& api, GcsCall call) : api_(api), call_(std::move(call)) { problem_ = begin(); }

  bool feed(ByteSpan piece) override {
    if (problem_) problem_ = reader_ ? reader_->feed(piece) : intake_->take(piece);
    return problem_.ok();
  }
  http::Response finish() override { return api_.finished(conclude()); }

 private:
  Result<void> begin() {
    wishes_ = wishes_of(call_);
    TRY_ASSIGN(condition_, gcs::parse_conditions(call_.query));
    TRY(gcs::parse_hashes(call_.head.headers.get("X-Goog-Hash"), wishes_));
    TRY(api_.objects_.bucket(call_.name.bucket));
    const std::string_view type = call_.head.headers.get("Content-Type");
    if (call_.parameter("uploadType") == "media") {
      set_type(wishes_, type);
      TRY(name_of(call_, wishes_));
      return begin_bytes();
    }
    const auto media = wire::parse_media_type(type);
    const auto boundary = media ? wire::boundary_of(*media) : std::nullopt;
    if (!boundary || !media->type.starts_with("multipart/")) {
      return invalid("A multipart upload needs Content-Type multipart/related with a boundary.");
    }
    wire::PartSink& sink = *this;
    reader_.emplace(*boundary, sink, wire::MultipartLimits{.parts = 2});
    return {};
  }

  Result<void> begin_bytes() {
    TRY_ASSIGN(auto blob, api_.blobs_.begin());
    intake_.emplace(std::move(blob));
    return {};
  }

  Result<void> begin_part(const http::Headers& headers) override {
    if (++parts_ == 1) return {};
    TRY_ASSIGN(wishes_, gcs::parse_wishes(metadata_, wishes_));
    set_type(wishes_, headers.get("Content-Type"));
    TRY(name_of(call_, wishes_));
    return begin_bytes();
  }
  Result<void> part_bytes(ByteSpan bytes) override {
    if (parts_ > 1) return intake_->take(bytes);
    if (metadata_.size() + bytes.size() > kMostMetadataBytes) return invalid("Too much metadata.");
    metadata_ += as_text(bytes);
    return {};
  }
  Result<void> end_part() override { return {}; }

  Result<http::Response> conclude() {
    if (!problem_ && problem_.error().code.starts_with("multipart.")) {
      return invalid(problem_.error().message);
    }
    TRY(problem_);
    if (reader_) {
      if (const Result<void> whole = reader_->finish(); !whole) {
        return invalid(whole.error().message);
      }
    }
    if (!intake_) return invalid("A multipart upload has two parts: metadata and bytes.");
    if (!reader_ && call_.head.content_length &&
        *call_.head.content_length != intake_->size_bytes()) {
      return invalid("The body is not as long as its Content-Length says.");
    }
    TRY_ASSIGN(const ObjectName name, name_of(call_, wishes_));
    TRY_ASSIGN(BlobIntake::Whole whole, intake_->finish());
    if ((!wishes_.crc32c.empty() && wishes_.crc32c != whole.crc32c) ||
        (!wishes_.md5.empty() && wishes_.md5 != whole.md5)) {
      return invalid(
          "Provided CRC32C or MD5 hash doesn't match the one calculated: " + whole.crc32c + ".");
    }
    ObjectRecord record;
    record.etag = whole.md5;
    record.headers = wishes_.headers;
    record.crc32c = whole.crc32c;
    record.checksum_algorithm = "crc32c";
    record.checksum = whole.crc32c;
    TRY_ASSIGN(const ObjectRecord stored,
               api_.objects_.put(name, std::move(record), whole.pin, condition_));
    return api_.object_answer(call_, name.bucket, stored);
  }

  GcsApi& api_;
  const GcsCall call_;
  gcs::ObjectWishes wishes_;
  PutCondition condition_;
  Result<void> problem_;
  std::optional<wire::MultipartReader> reader_;
  std::optional<BlobIntake> intake_;
  int parts_ = 0;
  std::string metadata_;
};

// A piece of a session. What came of it is kept even if the peer goes away in its middle.
class GcsPiece : public http::Exchange {
 public:
  GcsPiece(Objects& objects, Blobs& blobs, GcsCall call, UploadRecord upload,
           gcs::ContentRange range, std::function<http::Response(Result<http::Response>)> finished,
           std::function<Result<http::Response>(const ObjectRecord&)> answer)
      : objects_(objects),
        blobs_(blobs),
        call_(std::move(call)),
        upload_(std::move(upload)),
        range_(range),
        finished_(std::move(finished)),
        answer_(std::move(answer)) {
    problem_ = begin();
  }
  ~GcsPiece() override {
    if (!concluded_ && problem_ && intake_ && intake_->size_bytes() > 0) {
      const std::uint64_t there = kept_ + intake_->size_bytes();
      ignore(keep(range_.total == there), "the sender asks how far it came");
    }
  }

  bool feed(ByteSpan piece) override {
    if (!problem_ || !intake_) return problem_.ok();
    const std::uint64_t skipped = std::min<std::uint64_t>(skip_, piece.size());
    skip_ -= skipped;
    problem_ = intake_->take(piece.subspan(skipped));
    return problem_.ok();
  }

  http::Response finish() override {
    concluded_ = true;
    return finished_(conclude());
  }

 private:
  Result<void> begin() {
    TRY_ASSIGN(parts_, objects_.parts(upload_));
    kept_ = kept_bytes(parts_);
    if (!range_.first || *range_.first > kept_) return {};  // a question, or a gap
    skip_ = kept_ - *range_.first;  // "Bytes below the kept offset are ignored."
    TRY_ASSIGN(auto blob, blobs_.begin());
    intake_.emplace(std::move(blob));
    return {};
  }

  // The bytes at hand as one more part; the session knows from the same moment that it is whole, or
  // whoever asks after a crash would be told to go on behind the end.
  Result<void> keep(bool last) {
    PartRecord part;
    part.number = parts_.empty() ? 1 : parts_.back().number + 1;
    if (part.number > wire::s3::kMaxParts) return invalid("The session has too many pieces.");
    part.size_bytes = intake_->size_bytes();
    TRY_ASSIGN(BlobIntake::Whole whole, intake_->finish());
    part.etag = whole.md5;
    if (last) {
      gcs::Session session = gcs::parse_session(upload_.resumable);
      session.size_bytes = session.size_bytes.value_or(kept_ + part.size_bytes);
      upload_.resumable = gcs::print_session(session.wishes, session.condition, session.size_bytes);
    }
    TRY(objects_.put_part(upload_, part, whole.pin));
    kept_ += part.size_bytes;
    parts_.push_back(std::move(part));
    return {};
  }

  Result<http::Response> conclude() {
    TRY(problem_);
    if (!intake_) {
      const bool asked = !range_.first;
      const auto total =
          range_.total ? range_.total : gcs::parse_session(upload_.resumable).size_bytes;
      return asked && total == kept_ && kept_ > 0 ? complete() : incomplete(call_, kept_);
    }
    const std::uint64_t there = kept_ + intake_->size_bytes();
    if (range_.last && there != std::max(kept_, *range_.last + 1)) {
      return invalid("The body is not as long as its Content-Range says.");
    }
    if (range_.total && there > *range_.total)
      return invalid("There are more bytes than announced.");
    // Without an end the body is all that is left; without a total its last piece says so.
    const bool last = range_.total ? there == *range_.total : !range_.last;
    if (!last && range_.last && there % kPieceBytes != 0) {
      return invalid("Invalid request.  Every piece but the last is a multiple of 262144 bytes.");
    }
    if (intake_->size_bytes() > 0 || parts_.empty()) TRY(keep(last));
    return last ? complete() : Result<http::Response>(incomplete(call_, kept_));
  }

  Result<http::Response> complete() {
    gcs::Session session = gcs::parse_session(upload_.resumable);
    TRY(gcs::parse_hashes(call_.head.headers.get("X-Goog-Hash"), session.wishes));
    Completion completion;
    for (const PartRecord& part : parts_) completion.parts.emplace_back(part.number, part.etag);
    completion.condition = session.condition;
    completion.size_bytes = session.size_bytes;
    completion.md5 = session.wishes.md5;
    if (!session.wishes.crc32c.empty()) {
      completion.checksum_algorithm = "crc32c";
      completion.checksum = session.wishes.crc32c;
    }
    TRY_ASSIGN(const ObjectRecord object, objects_.complete_upload(upload_, completion));
    return answer_(object);
  }

  Objects& objects_;
  Blobs& blobs_;
  const GcsCall call_;
  UploadRecord upload_;
  const gcs::ContentRange range_;
  const std::function<http::Response(Result<http::Response>)> finished_;
  const std::function<Result<http::Response>(const ObjectRecord&)> answer_;
  Result<void> problem_;
  std::vector<PartRecord> parts_;
  std::uint64_t kept_ = 0, skip_ = 0;
  std::optional<BlobIntake> intake_;
  bool concluded_ = false;
};

std::unique_ptr<http::Exchange> GcsApi::upload(GcsCall call) {
  const std::string type = call.parameter("uploadType");
  if (type == "media" || type == "multipart") {
    return std::make_unique<GcsUpload>(*this, std::move(call));
  }
  if (type == "resumable") {
    return http::gather(kMostMetadataBytes, [this, call = std::move(call)](std::string body) {
      return finished(begin_session(call, body));
    });
  }
  return http::answer_with(finished(invalid("Invalid value for uploadType.")));
}

GcsApi::Answer GcsApi::begin_session(const GcsCall& call, const std::string& body) {
  TRY_ASSIGN(gcs::ObjectWishes wishes, gcs::parse_wishes(body, wishes_of(call)));
  set_type(wishes, call.head.headers.get("X-Upload-Content-Type"));
  TRY(gcs::parse_hashes(call.head.headers.get("X-Goog-Hash"), wishes));
  TRY_ASSIGN(const ObjectName name, name_of(call, wishes));
  TRY_ASSIGN(const PutCondition condition, gcs::parse_conditions(call.query));
  std::optional<std::uint64_t> size;
  if (const auto text = call.head.headers.find("X-Upload-Content-Length")) {
    std::uint64_t value = 0;
    const auto [end, failure] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (failure != std::errc{} || end != text->data() + text->size()) {
      return invalid("Invalid value for X-Upload-Content-Length.");
    }
    size = value;
  }
  UploadRecord wanted;
  wanted.name = name;
  wanted.headers = wishes.headers;
  wanted.checksum_algorithm = "crc32c";
  wanted.checksum_type = "FULL_OBJECT";
  wanted.resumable = gcs::print_session(wishes, condition, size);
  TRY_ASSIGN(const UploadRecord upload, objects_.begin_upload(std::move(wanted)));
  http::Response response;
  response.headers.set(
      "Location", call.origin() + "/upload/storage/v1/b/" +
                      http::percent_encode(name.bucket, false) + "/o?uploadType=resumable&name=" +
                      http::percent_encode(name.key, false) + "&upload_id=" + upload.id);
  response.headers.set("X-GUploader-UploadID", upload.id);
  return response;
}

std::unique_ptr<http::Exchange> GcsApi::resume(GcsCall call) {
  const auto refused = [this](const Error& error) { return http::answer_with(finished(error)); };
  call.name.key = call.parameter("name");
  const std::string id = call.parameter("upload_id");
  auto upload = objects_.resumable_upload(call.name, id);
  if (!upload) {
    const auto generation = objects_.finished_upload(call.name, id);
    if (!generation) return refused(generation.error());
    if (!*generation) return refused(upload.error());
    // It was complete already, and the answer was lost.
    return http::gather(kMostMetadataBytes, [this, call, made = **generation](std::string) {
      const Result<ObjectRecord> object = objects_.find(call.name);
      if (!object) return finished(object.error());
      if (object->generation != made) {
        return finished(permanent_error("GONE", "The object of this session was replaced."));
      }
      return finished(object_answer(call, call.name.bucket, *object));
    });
  }
  gcs::ContentRange range{0, std::nullopt, std::nullopt};
  if (const auto header = call.head.headers.find("Content-Range")) {
    const auto said = gcs::parse_content_range(*header);
    if (!said) return refused(said.error());
    range = *said;
  }
  GcsCall kept = call;
  return std::make_unique<GcsPiece>(
      objects_, blobs_, std::move(call), std::move(*upload), range,
      [this](Answer answer) { return finished(std::move(answer)); },
      [this, kept = std::move(kept)](const ObjectRecord& object) {
        return object_answer(kept, kept.name.bucket, object);
      });
}

GcsApi::Answer GcsApi::cancel_session(const GcsCall& call, const std::string&) {
  const ObjectName name{call.name.bucket, call.parameter("name")};
  TRY_ASSIGN(const UploadRecord upload,
             objects_.resumable_upload(name, call.parameter("upload_id")));
  TRY(objects_.abort_upload(upload));
  http::Response response;
  response.status = 499;  // "Client Closed Request": what the service answers
  return response;
}

}  // namespace isthmus::datastore
