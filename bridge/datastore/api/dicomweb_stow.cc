#include "datastore/api/dicomweb_stow.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "datastore/api/native_xml.h"
#include "datastore/api/stow_assembly.h"
#include "wire/healthimaging.h"

namespace isthmus::datastore {

using nlohmann::json;

namespace {

constexpr const char* kBucket = "isthmus-stow";
constexpr std::uint64_t kMostGathered = 64 * MiB;
constexpr std::size_t kFirstName = 1'000'000;
constexpr std::size_t kMostParts = 5000;  // files of an import job
constexpr Milliseconds kLookAgain{20};
constexpr Milliseconds kLongest{600'000};

// contracts/dicomweb-stow.md section 3.
constexpr int kOutsideStudy = 0xA900;
constexpr int kUnreadable = 0xC000;
constexpr int kProcessingFailure = 0x0110;

Error invalid(std::string message) {
  return permanent_error("ValidationException", std::move(message));
}

json text_element(const char* vr, const std::string& value) {
  json element = {{"vr", vr}};
  if (!value.empty()) element["Value"] = {value};
  return element;
}

json sequence(json items) {
  return {{"vr", "SQ"}, {"Value", std::move(items)}};
}

std::string study_url(const Stow::Order& order, const std::string& study) {
  return order.base_url + "/studies/" + study;
}

std::string text_of(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

// Empty sequences stay away: some clients take one for a failure.
json Stow::answer_body(const Order& order, const std::vector<Outcome>& outcomes) {
  json stored = json::array(), failed = json::array(), other = json::array();
  std::string study;
  bool one_study = true;
  for (const Outcome& outcome : outcomes) {
    const json reason = {{"vr", "US"}, {"Value", {outcome.failure}}};
    const auto add_detail = [&](json& item) {
      if (!order.google) return;
      item["00090010"] = text_element("LO", "GOOGLE");
      item["00091097"] = text_element("LT", outcome.detail);
    };
    if (outcome.sop_instance_uid.empty()) {
      other.push_back({{"00081197", reason}});
      add_detail(other.back());
      continue;
    }
    json item = {{"00081150", text_element("UI", outcome.sop_class_uid)},
                 {"00081155", text_element("UI", outcome.sop_instance_uid)}};
    if (outcome.failure != 0) {
      item["00081197"] = reason;
      add_detail(item);
      failed.push_back(std::move(item));
      continue;
    }
    one_study = one_study && (study.empty() || study == outcome.study_instance_uid);
    study = outcome.study_instance_uid;
    item["00081190"] =
        text_element("UR", study_url(order, study) + "/series/" + outcome.series_instance_uid +
                               "/instances/" + outcome.sop_instance_uid);
    stored.push_back(std::move(item));
  }
  json body = {{"00081190", text_element("UR", one_study && !study.empty() ? study_url(order, study)
                                                                           : std::string())}};
  if (!failed.empty()) body["00081198"] = sequence(std::move(failed));
  if (!stored.empty()) body["00081199"] = sequence(std::move(stored));
  if (!other.empty()) body["0008119A"] = sequence(std::move(other));
  return body;
}

Result<Stow::Outcome> Stow::outcome_of(const Examination& examination,
                                       const std::string& wanted_study) {
  Outcome outcome;
  if (examination.refused()) {
    outcome.failure =
        examination.failure_type == "ValidationException" ? kUnreadable : kProcessingFailure;
    outcome.detail = examination.failure_message;
    return outcome;
  }
  const json attributes = json::parse(examination.attributes, nullptr, false);
  outcome.sop_instance_uid = examination.sop_instance_uid;
  outcome.series_instance_uid = examination.series_instance_uid;
  if (attributes.is_object()) outcome.study_instance_uid = text_of(attributes, "StudyInstanceUID");
  outcome.sop_class_uid = examination.sop_class_uid;
  if (!wanted_study.empty() && outcome.study_instance_uid != wanted_study) {
    outcome.failure = kOutsideStudy;
    outcome.detail = "the study is not that of the path";
  }
  return outcome;
}

// One request. Parts are blobs that no row names until the body was whole and its hash right.
class StowExchange : public http::Exchange, private wire::PartSink {
 public:
  StowExchange(Stow& stow, const http::Head& head, Stow::Order order,
               std::function<http::Response(const Error&)> refuse)
      : stow_(stow), head_(head), order_(std::move(order)), refuse_(std::move(refuse)) {
    begin();
  }

  bool feed(ByteSpan piece) override {
    if (!problem_) problem_ = take(piece);
    return problem_->ok() ? (problem_.reset(), true) : false;
  }

  http::Response finish() override {
    Result<http::Response> answer = conclude();
    return answer ? std::move(*answer) : refuse_(answer.error());
  }

 private:
  void begin() {
    if (!order_.admitted) claimed_ = head_.headers.find("x-amz-content-sha256");
    if (!order_.admitted && (claimed_ || stow_.gate_.open_to_all())) {
      const auto admitted =
          stow_.gate_.admit(head_, wire::healthimaging::kSigningName, claimed_.value_or(""));
      if (!admitted) problem_ = Result<void>(admitted.error());
    }
    const auto media = wire::parse_media_type(head_.headers.get("Content-Type"));
    if (!problem_ && !media) problem_ = Result<void>(unsupported());
    if (problem_) return;
    if (media->type == "application/dicom") {
      single_ = true;
      problem_ = begin_part({});
      if (problem_->ok()) problem_.reset();
      return;
    }
    const auto boundary = wire::boundary_of(*media);
    const std::string_view type = media->parameter("type", "application/dicom");
    const bool metadata = order_.google && type == "application/dicom+json";
    if (media->type != "multipart/related" || !boundary ||
        (type != "application/dicom" && !metadata)) {
      problem_ = Result<void>(unsupported());
      return;
    }
    if (metadata) assembly_.emplace(stow_.parts_.blobs);
    wire::PartSink& sink = metadata ? static_cast<wire::PartSink&>(*assembly_) : *this;
    reader_.emplace(*boundary, sink, wire::MultipartLimits{.parts = kMostParts});
  }

  // The signature is of the whole body, and nobody said what its hash will be.
  bool must_gather() const { return !order_.admitted && !claimed_ && !stow_.gate_.open_to_all(); }

  static Error unsupported() {
    return permanent_error("UnsupportedMediaTypeException",
                           "Instances come as application/dicom, one or in multipart/related.");
  }

  Result<void> take(ByteSpan piece) {
    size_ += piece.size();
    if (size_ > order_.most_bytes) {
      return permanent_error("RequestEntityTooLargeException", "The body is too large.");
    }
    hash_.update(piece);
    if (must_gather()) {
      if (size_ > kMostGathered) {
        return permanent_error("RequestEntityTooLargeException",
                               "A body of this size must be signed with x-amz-content-sha256.");
      }
      gathered_ += as_text(piece);
      return {};
    }
    return parse(piece);
  }

  Result<void> parse(ByteSpan piece) {
    if (single_) return part_bytes(piece);
    const Result<void> fed = reader_->feed(piece);
    if (!fed && fed.error().code.starts_with("multipart.")) return invalid(fed.error().message);
    return fed;
  }

  Result<http::Response> conclude() {
    if (problem_) TRY(std::move(*problem_));
    const std::string actual = hash_.finish().hex();
    if (must_gather()) {
      TRY(stow_.gate_.admit(head_, wire::healthimaging::kSigningName, actual));
      TRY(parse(as_bytes(gathered_)));
    }
    if (claimed_ && *claimed_ != actual && *claimed_ != wire::sigv4::kUnsignedPayload) {
      return permanent_error("sigv4.mismatch", "The body is not the one that was signed.");
    }
    if (single_) {
      TRY(end_part());
    } else if (const Result<void> whole = reader_->finish(); !whole) {
      return invalid(whole.error().message);
    }
    if (assembly_) TRY(take_assembled());
    if (parts_.empty()) return invalid("The body has no instance.");
    return stow_.store(order_, parts_);
  }

  Result<void> begin_part(const http::Headers& headers) override {
    const auto media = wire::parse_media_type(headers.get("Content-Type", "application/dicom"));
    if (!media || media->type != "application/dicom") return unsupported();
    TRY_ASSIGN(writer_, stow_.parts_.blobs.begin());
    return {};
  }
  Result<void> part_bytes(ByteSpan bytes) override { return writer_->append(bytes); }
  Result<void> end_part() override {
    TRY_ASSIGN(BlobPin pin, writer_->finish());
    parts_.push_back({std::move(pin), {}});
    writer_.reset();
    return {};
  }

  Result<void> take_assembled() {
    TRY_ASSIGN(std::vector<AssembledInstance> instances, assembly_->instances());
    for (AssembledInstance& instance : instances) {
      Stow::Incoming& incoming = parts_.emplace_back();
      incoming.file = std::move(instance.file);
      if (incoming.file) continue;
      incoming.refused.failure = kProcessingFailure;
      incoming.refused.detail = std::move(instance.refusal);
      incoming.refused.sop_class_uid = std::move(instance.sop_class_uid);
      incoming.refused.sop_instance_uid = std::move(instance.sop_instance_uid);
    }
    return {};
  }

  Stow& stow_;
  const http::Head head_;
  const Stow::Order order_;
  const std::function<http::Response(const Error&)> refuse_;
  std::optional<std::string_view> claimed_;
  bool single_ = false;
  std::optional<wire::MultipartReader> reader_;
  std::optional<Result<void>> problem_;
  std::unique_ptr<BlobWriter> writer_;
  std::vector<Stow::Incoming> parts_;
  std::optional<StowAssembly> assembly_;
  Sha256 hash_;
  std::uint64_t size_ = 0;
  std::string gathered_;
};

Stow::Stow(Env& env, const Gate& gate, Parts parts)
    : env_(env), gate_(gate), parts_(std::move(parts)) {}

std::unique_ptr<http::Exchange> Stow::open(const http::Head& head, Order order,
                                           std::function<http::Response(const Error&)> refuse) {
  return std::make_unique<StowExchange>(*this, head, std::move(order), std::move(refuse));
}

Result<void> Stow::sweep() {
  const Result<BucketRecord> there = parts_.objects.bucket(kBucket);
  if (!there) {
    if (there.error().code == "datastore.no_such_bucket") return {};
    return there.error();
  }
  while (true) {
    TRY_ASSIGN(const ListPage page, parts_.objects.list(kBucket, {}));
    if (page.objects.empty()) return {};
    std::vector<std::string> keys;
    for (const ObjectRecord& object : page.objects) keys.push_back(object.key);
    TRY(parts_.objects.remove(kBucket, keys));
  }
}

// The server has few threads, and others want answers meanwhile.
Result<http::Response> Stow::store(const Order& order, std::vector<Incoming>& parts) {
  const std::size_t before = storing_.fetch_add(1);
  Result<http::Response> answer =
      before < parts_.at_once
          ? store_now(order, parts)
          : permanent_error("ThrottlingException", "Too many requests store at once: try again.");
  storing_.fetch_sub(1);
  return answer;
}

Result<http::Response> Stow::store_now(const Order& order, std::vector<Incoming>& parts) {
  const Result<void> made = parts_.objects.create_bucket(kBucket);
  if (!made && made.error().code != "datastore.bucket_exists") return made.error();
  const std::string folder = make_id_text(env_);
  std::vector<Outcome> outcomes;
  std::vector<std::size_t> imported;
  std::vector<std::string> keys;
  for (const Incoming& incoming : parts) {
    if (!incoming.file) {
      outcomes.push_back(incoming.refused);
      continue;
    }
    const BlobPin& part = *incoming.file;
    TRY_ASSIGN(Examination examination,
               parts_.examiner.examine(parts_.blobs.path_of(part.digest())));
    TRY_ASSIGN(Outcome outcome, outcome_of(examination, order.study));
    outcome.blob = part.digest();
    TRY_ASSIGN(const bool settled_already, settled(order, outcome));
    if (outcome.failure == 0 && !settled_already) {
      // Names in the order of the parts: listing and import keep it.
      const std::string number = std::to_string(kFirstName + imported.size());
      keys.push_back(folder + "/" + number + ".dcm");
      ObjectRecord object;
      object.blob = part.digest();
      object.size_bytes = part.size_bytes();
      TRY(parts_.objects.put({kBucket, keys.back()}, object, part));
      parts_.ahead.put(part.digest(), std::move(examination));
      imported.push_back(outcomes.size());
    }
    outcomes.push_back(std::move(outcome));
  }
  if (!imported.empty()) {
    TRY_ASSIGN(const std::vector<std::string> failures, import(order, folder, imported.size()));
    for (std::size_t i = 0; i < imported.size(); ++i) {
      Outcome& outcome = outcomes[imported[i]];
      if (!failures[i].empty()) {
        outcome.failure = kProcessingFailure;
        outcome.detail = failures[i];
      } else {
        // Another transaction, or an earlier part of this one, may have been first.
        TRY_ASSIGN(const bool there, settled(order, outcome));
        if (order.google && !there) {
          outcome.failure = kProcessingFailure;
          outcome.detail = "could not be stored";
        }
      }
    }
    ignore(parts_.objects.remove(kBucket, keys), "swept at the next start");
  }
  return answer(order, outcomes);
}

http::Response Stow::answer(const Order& order, const std::vector<Outcome>& outcomes) const {
  const auto failed = static_cast<std::size_t>(std::count_if(
      outcomes.begin(), outcomes.end(), [](const Outcome& one) { return one.failure != 0; }));
  // Google knows no 202.
  const bool some = failed < outcomes.size() && !order.google;
  const int status = failed == 0 ? 200 : some ? 202 : 409;
  std::vector<Outcome> told = outcomes;
  for (Outcome& outcome : told) {
    if (order.google && outcome.failure != 0) outcome.failure = kProcessingFailure;
  }
  const json body = answer_body(order, told);
  if (!order.json) {
    return http::text_response(status, "application/dicom+xml",
                               print_native_xml(body, store_answer_keyword));
  }
  return http::text_response(status, "application/dicom+json", body.dump());
}

Result<Stow::There> Stow::look(const Order& order, const Outcome& outcome) {
  TRY_ASSIGN(const std::vector<ServedInstance> found,
             parts_.index.instances(order.data_store,
                                    {outcome.study_instance_uid, outcome.series_instance_uid,
                                     outcome.sop_instance_uid},
                                    0, 1));
  if (found.empty()) return There::nothing;
  return found.front().blob == outcome.blob ? There::same : There::other;
}

Result<bool> Stow::settled(const Order& order, Outcome& outcome) {
  if (!order.google || outcome.failure != 0) return false;
  TRY_ASSIGN(const There there, look(order, outcome));
  if (there == There::other) {
    outcome.failure = kProcessingFailure;
    outcome.detail = "already exists";
  }
  return there != There::nothing;
}

// The rows of a job's files go when it ends; what it wrote says what became of each.
Result<std::vector<std::string>> Stow::failures_of(const ImportJobRecord& job, std::size_t count) {
  namespace hi = wire::healthimaging;
  std::vector<std::string> failures(count, "not imported");
  if (job.status != "COMPLETED") return failures;
  if (is_google_uri(job.input_s3_uri)) return std::vector<std::string>(count);  // and are looked at
  const auto folder = hi::parse_s3_uri(hi::job_folder(job.output_s3_uri, job.data_store, job.id));
  ASSERT(folder.has_value());
  const ObjectName name{folder->bucket, folder->key + "SUCCESS/success.ndjson"};
  const Result<ObjectRecord> written = parts_.objects.find(name);
  if (!written && written.error().code == "datastore.no_such_key") return failures;
  if (!written) return written.error();
  TRY_ASSIGN(const auto source, parts_.objects.read(*written, 0, written->size_bytes));
  TRY_ASSIGN(const std::string text, read_all(*source, 16 * MiB));
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const json line = json::parse(text.substr(at, end - at), nullptr, false);
    at = end + 1;
    const std::string key = line.is_object() ? text_of(line, "inputFile") : std::string();
    const std::size_t slash = key.rfind('/');
    if (slash == std::string::npos) continue;
    std::size_t number = 0;
    std::from_chars(key.data() + slash + 1, key.data() + key.size(), number);
    if (number >= kFirstName && number - kFirstName < count) failures[number - kFirstName].clear();
  }
  return failures;
}

Result<std::vector<std::string>> Stow::import(const Order& order, const std::string& folder,
                                              std::size_t count) {
  ImportJobRecord wanted;
  wanted.data_store = order.data_store;
  wanted.name = "stow";
  wanted.role_arn = "arn:aws:iam::123456789012:role/stow";
  wanted.input_s3_uri = order.google ? std::string("gs://") + kBucket + "/" + folder + "/**"
                                     : std::string("s3://") + kBucket + "/" + folder + "/";
  wanted.output_s3_uri = std::string("s3://") + kBucket + "/output/" + folder + "/";
  TRY_ASSIGN(ImportJobRecord job,
             parts_.import_jobs.accept(
                 wanted, {"StoreInstances", order.data_store, folder, sha256(folder)}));
  if (parts_.job_accepted) parts_.job_accepted();
  const SteadyTime deadline = env_.clock.steady_now() + kLongest;
  while (job.status != "COMPLETED" && job.status != "FAILED") {
    if (env_.clock.steady_now() >= deadline) {
      return transient_error("ThrottlingException", "The import takes long: ask for it later.");
    }
    env_.clock.sleep_for(kLookAgain);
    TRY_ASSIGN(job, parts_.import_jobs.find(order.data_store, job.id));
  }
  TRY_ASSIGN(std::vector<std::string> failures, failures_of(job, count));
  // What the job wrote is for those who start jobs.
  ListQuery query;
  query.prefix = "output/" + folder + "/";
  TRY_ASSIGN(const ListPage output, parts_.objects.list(kBucket, query));
  std::vector<std::string> keys;
  for (const ObjectRecord& object : output.objects) keys.push_back(object.key);
  ignore(parts_.objects.remove(kBucket, keys), "swept at the next start");
  return failures;
}

}  // namespace isthmus::datastore
