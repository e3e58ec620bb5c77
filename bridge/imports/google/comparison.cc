#include "imports/google/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "imports/google/stored.h"

namespace isthmus::google {
namespace {

namespace hc = wire::healthcare;

constexpr std::size_t kSearchPage = 5000;  // at most 50,000 (contract section 6)
constexpr const char* kDicomJson = "application/dicom+json";

std::string url_part(const std::string& text) {
  return http::percent_encode(text, false);
}

// Why the log says a file was refused; its words are the service's.
bool is_for_good(int code) {
  return code == hc::kInvalidArgument || code == hc::kAlreadyExists ||
         code == hc::kFailedPrecondition || code == hc::kOutOfRange || code == hc::kUnimplemented;
}

class Comparison {
 public:
  Comparison(const ComparisonMeans& means, const hc::Operation& operation,
             std::span<const Expected> expected)
      : means_(means), operation_(operation), expected_(expected) {}

  Result<std::vector<Outcome>> outcomes() {
    std::size_t missing = 0;
    TRY(look_up());
    for (const Place& place : places_) TRY(search(place.study));
    for (const Place& place : places_) missing += is_found(place) ? 0 : 1;
    if (missing > 0) {
      TRY(check_index());
      TRY(read_log());
    }
    const std::size_t verified_each = step_of_verification();
    std::vector<Outcome> outcomes;
    for (std::size_t i = 0; i < expected_.size(); ++i) {
      const Place& place = places_[i];
      if (!is_found(place)) {
        TRY_ASSIGN(Outcome outcome, of_missing(expected_[i]));
        outcomes.push_back(std::move(outcome));
        continue;
      }
      outcomes.push_back(imported(expected_[i], place));
      const bool is_in_sample = verified_each > 0 && i % verified_each == 0;
      if (place.is_doubtful || is_in_sample) TRY(verify(place, outcomes.back()));
    }
    log(outcomes);
    return outcomes;
  }

 private:
  struct Study {
    std::set<hc::FoundInstance> instances;
  };
  // Where in the store an expected instance belongs; empty when nobody knows.
  struct Place {
    std::string study;
    hc::FoundInstance instance;
    Digest dataset_digest;
    bool is_doubtful = false;  // its UID came with other bytes before: only one of them is stored
  };

  Result<void> look_up() {
    for (const Expected& one : expected_) {
      Place place;
      TRY_ASSIGN(const std::optional<Instance> known, means_.instances(one.key));
      if (known) {
        place = {known->study_instance_uid.text(),
                 {known->series_instance_uid.text(), known->sop_instance_uid.text()},
                 known->dataset_digest,
                 known->conflicts_with.has_value()};
      }
      places_.push_back(std::move(place));
    }
    return {};
  }

  std::string web(const std::string& path) const {
    return "/v1/" + means_.options.dicom_store + "/dicomWeb/studies/" + path;
  }

  Result<void> search(const std::string& study_uid) {
    const auto [study, is_new] = studies_.try_emplace(study_uid);
    if (!is_new || study_uid.empty()) return {};
    for (std::size_t offset = 0;;) {
      auto text = means_.calls.get(
          web(fmt::format("{}/instances?limit={}&offset={}&includefield=SeriesInstanceUID",
                          url_part(study_uid), kSearchPage, offset)),
          kDicomJson);
      if (!text.ok() && text.error().code == "import.not_found") return {};
      TRY(text);
      TRY_ASSIGN(const auto page, understood(hc::parse_instances(*text)));
      study->second.instances.insert(page.begin(), page.end());
      offset += page.size();
      if (page.size() < kSearchPage) return {};
    }
  }

  bool is_found(const Place& place) const {
    return studies_.at(place.study).instances.contains(place.instance);
  }

  // A search lags behind what is stored. As long as a study's metrics count more than was found,
  // what is missing may be there.
  Result<void> check_index() {
    for (const auto& [uid, study] : studies_) {
      if (uid.empty()) continue;
      const auto text = means_.calls.get(web(url_part(uid) + ":getStudyMetrics"));
      if (!text.ok() && text.error().fate == Fate::permanent) continue;  // no such study
      TRY(text);
      TRY_ASSIGN(const std::int64_t count, understood(hc::parse_instance_count(*text)));
      if (count > static_cast<std::int64_t>(study.instances.size())) {
        return transient_error("import.output_missing",
                               "The store has more instances of a study than a search finds yet.");
      }
    }
    return {};
  }

  Result<void> read_log() {
    if (means_.logging == nullptr || operation_.failure == 0) return {};
    std::string page_token;
    for (;;) {
      TRY_ASSIGN(const std::string text,
                 means_.logging->post("/v2/entries:list",
                                      hc::print_log_query(project_of(means_.options.dicom_store),
                                                          operation_.id(), page_token)));
      TRY_ASSIGN(const hc::RefusedPage page, understood(hc::parse_log_entries(text)));
      for (const hc::RefusedFile& file : page.files) refused_.insert_or_assign(file.source, file);
      if (page.next_page_token.empty() || page.next_page_token == page_token) return {};
      page_token = page.next_page_token;
    }
  }

  Result<Outcome> of_missing(const Expected& one) {
    Outcome outcome;
    outcome.delivery = one.delivery;
    const auto said = refused_.find("gs://" + means_.options.bucket + "/" + one.key.text);
    if (said != refused_.end()) {
      const bool for_good = is_for_good(said->second.code);
      outcome.kind = for_good ? OutcomeKind::rejected : OutcomeKind::unaccounted;
      outcome.reason_code = fmt::format("import.rpc_{}", said->second.code);
      outcome.reason = said->second.message;
      return outcome;
    }
    if (operation_.failure == 0) {
      outcome.reason_code = "import.not_mentioned";
      outcome.reason = "The store does not have it, and the operation counted no failure.";
      return outcome;
    }
    const auto staged = means_.staging.head(one.key);
    if (!staged.ok() && staged.error().code != "store.not_found") return staged.error();
    if (!staged.ok()) {
      outcome.reason_code = "import.not_mentioned";
      outcome.reason = "It was not in the bucket when the operation's result was looked at.";
      return outcome;
    }
    // Was it refused for good, or did the service fail? It counts, and does not say: once more.
    outcome.kind = one.attempts > 0 ? OutcomeKind::rejected : OutcomeKind::unaccounted;
    outcome.reason_code = "import.refused";
    outcome.reason =
        "The operation counted failures, and the store does not have it: its log says "
        "why.";
    return outcome;
  }

  static Outcome imported(const Expected& one, const Place& place) {
    Outcome outcome;
    outcome.delivery = one.delivery;
    outcome.kind = OutcomeKind::imported;
    outcome.image_set_id =
        "studies/" + place.study + "/series/" + place.instance.series_instance_uid;
    outcome.primary = true;  // the service keeps one instance of a UID
    return outcome;
  }

  std::size_t step_of_verification() const {
    const auto wanted =
        static_cast<std::size_t>(std::max<std::int64_t>(means_.options.verified_instances, 0));
    if (wanted == 0) return 0;
    return std::max<std::size_t>(1, (expected_.size() + wanted - 1) / wanted);
  }

  Result<void> verify(const Place& place, Outcome& outcome) {
    TRY_ASSIGN(const std::unique_ptr<ByteSource> bytes,
               means_.calls.open(instance_target(means_.options.dicom_store, place.study,
                                                 place.instance.series_instance_uid,
                                                 place.instance.sop_instance_uid),
                                 kStoredBytes));
    TRY_ASSIGN(const Digest digest, dataset_digest_of(*bytes));
    if (digest == place.dataset_digest) return {};
    outcome = {outcome.delivery, OutcomeKind::rejected, "", "", "", {}, {}, {}};
    outcome.reason_code = "import.duplicate";
    outcome.reason =
        "The store has another instance of this UID, which it keeps: ours was ignored.";
    return {};
  }

  void log(const std::vector<Outcome>& outcomes) {
    std::int64_t imported = 0, rejected = 0;
    for (const Outcome& outcome : outcomes) {
      imported += outcome.kind == OutcomeKind::imported ? 1 : 0;
      rejected += outcome.kind == OutcomeKind::rejected ? 1 : 0;
    }
    const auto all = static_cast<std::int64_t>(outcomes.size());
    means_.env.log.info("import.compared", {{"job", operation_.id()},
                                            {"imported", imported},
                                            {"rejected", rejected},
                                            {"unaccounted", all - imported - rejected},
                                            {"counted_failures", operation_.failure}});
  }

  const ComparisonMeans& means_;
  const hc::Operation& operation_;
  const std::span<const Expected> expected_;
  std::vector<Place> places_;
  std::map<std::string, Study> studies_;
  std::map<std::string, hc::RefusedFile> refused_;
};

}  // namespace

std::string project_of(const std::string& dicom_store) {
  constexpr std::size_t kStart = std::string_view("projects/").size();
  return dicom_store.substr(kStart, dicom_store.find('/', kStart) - kStart);
}

Result<std::vector<Outcome>> compare(const ComparisonMeans& means, const hc::Operation& operation,
                                     std::span<const Expected> expected) {
  return Comparison(means, operation, expected).outcomes();
}

}  // namespace isthmus::google
