#include "plugin/followup.h"

#include <algorithm>

#include "base/digest.h"
#include "dicom/part10.h"
#include "plugin/answers.h"

namespace isthmus::plugin {
namespace {

constexpr const char* kToldMark = "orthanc.told";
constexpr const char* kClearedMark = "orthanc.cleared";
constexpr const char* kReceiver = "orthanc";
constexpr std::size_t kEventsAtOnce = 2'000;
constexpr std::size_t kInstancesOfStudy = 50'000;
constexpr Milliseconds kFirstWait{500};
constexpr int kLongestDoubling = 7;

enum Metadata : std::int64_t { state, image_set, import_job };

bool all_imported(const std::vector<InstanceView>& held) {
  return !held.empty() && std::all_of(held.begin(), held.end(), [](const InstanceView& view) {
    return !view.deliveries.empty() &&
           std::all_of(view.deliveries.begin(), view.deliveries.end(),
                       [](const Delivery& one) { return one.state == DeliveryState::imported; });
  });
}

// Of the data set alone, as the ledger has it.
Result<Digest> dataset_digest_of(ByteSpan file) {
  TRY_ASSIGN(const dicom::FileHead head, dicom::read_file_head(file));
  return sha256(file.subspan(static_cast<std::size_t>(head.dataset_offset_bytes)));
}

bool is_gone(const Error& error) {
  return error.code == "orthanc.not_found";
}

}  // namespace

std::string_view state_of(const std::vector<InstanceView>& instances) {
  bool rejected = false, quarantined = false, on_way = false, discarded = false;
  for (const InstanceView& view : instances) {
    for (const Delivery& delivery : view.deliveries) {
      rejected = rejected || delivery.state == DeliveryState::rejected;
      quarantined = quarantined || delivery.state == DeliveryState::quarantined;
      discarded = discarded || delivery.state == DeliveryState::discarded;
      on_way = on_way || delivery.state == DeliveryState::waiting ||
               delivery.state == DeliveryState::staged;
    }
  }
  if (rejected) return "rejected";
  if (quarantined) return "quarantined";
  if (on_way) return "on_way";
  return discarded ? "discarded" : "imported";
}

Followup::Followup(Env& env, Archive& archive, Ledger& ledger, FollowupOptions options)
    : env_(env),
      archive_(archive),
      ledger_(ledger),
      options_(options),
      deleted_(env.metrics.counter("orthanc_deleted_total",
                                   "Instances deleted from Orthanc after their import")) {
  if (options_.protection_metadata == 0) return;
  protection_.emplace(env, archive, ledger,
                      ProtectionOptions{options_.protection_metadata, options_.protects_existing});
}

void Followup::start() {
  if (stopping_.load() || thread_.joinable()) return;
  if (options_.first_metadata == 0 && !protection_ && !options_.delete_imported) return;
  thread_ = Thread(env_, "orthanc-news", [this] {
    while (!stopping_.load()) {
      const Milliseconds wait = run_once();
      if (wait > Milliseconds{0}) wakeup_.wait_for(wait);
    }
  });
}

void Followup::begin_to_stop() {
  stopping_.store(true);
  wakeup_.notify();
}

void Followup::stop() {
  begin_to_stop();
  thread_.join();
}

Milliseconds Followup::run_once() {
  bool more = false, failed = false;
  for (const auto piece : {&Followup::guard, &Followup::tell, &Followup::clear}) {
    const auto done = (this->*piece)();
    if (done.ok()) {
      more = more || *done;
      continue;
    }
    if (waits_ == 0) {
      env_.log.warn("orthanc.followup_waits",
                    {{"code", done.error().code}, {"error", done.error().message}});
    }
    failed = true;  // the others do not wait for this one
  }
  waits_ = failed ? std::min(waits_ + 1, kLongestDoubling) : 0;
  if (failed) return kFirstWait * (1 << (waits_ - 1));
  return more ? Milliseconds{0} : options_.poll;
}

Result<std::int64_t> Followup::mark(const char* name) {
  TRY_ASSIGN(const auto text, ledger_.receiver_rows().mark(name));
  return text ? std::strtoll(text->c_str(), nullptr, 10) : 0;
}

Result<std::vector<std::string>> Followup::look_up(const Uid& uid, std::string_view kind) {
  TRY_ASSIGN(const std::string text, archive_.post("/tools/lookup", uid.text()));
  return looked_up_in(text, kind);
}

Result<bool> Followup::guard() {
  if (!protection_) return false;
  TRY_ASSIGN(const bool more_came, protection_->protect_arrived());
  TRY_ASSIGN(const bool more_news, protection_->release_imported());
  return more_came || more_news;
}

// --- metadata -----------------------------------------------------------------------------------

Result<bool> Followup::tell() {
  if (options_.first_metadata == 0) return false;
  TRY_ASSIGN(const std::int64_t after, mark(kToldMark));
  TRY_ASSIGN(const NewsPage page, ledger_.receiver_rows().news(kReceiver, after, kEventsAtOnce));
  std::set<std::string> studies;
  for (const DeliveryNews& news : page.news) {
    if (stopping_.load()) return false;
    TRY(tell_of(news));
    studies.insert(news.study_instance_uid.text());
  }
  for (const std::string& study : studies) {
    if (stopping_.load()) return false;
    TRY(tell_of_study(Uid::parse(study).value_or(Uid())));
  }
  if (page.reached == after) return false;
  TRY(ledger_.receiver_rows().keep_mark(kToldMark, std::to_string(page.reached)));
  return true;
}

Result<void> Followup::put(const std::string& resource, std::int64_t which,
                           std::string_view value) {
  if (value.empty()) return {};
  const auto done =
      archive_.put(resource + "/metadata/" + std::to_string(options_.first_metadata + which),
                   std::string(value));
  if (done.ok() || is_gone(done.error())) return {};  // deleted in Orthanc meanwhile
  if (done.error().code == "orthanc.refused") {
    env_.log.warn("orthanc.metadata_refused", {{"error", done.error().message}});
    return {};
  }
  return done.error();
}

Result<void> Followup::tell_of(const DeliveryNews& news) {
  TRY_ASSIGN(const auto ids, look_up(news.sop_instance_uid, "Instance"));
  if (ids.empty()) return {};
  TRY_ASSIGN(const auto held, ledger_.instances(news.sop_instance_uid.text(), kInstancesOfStudy));
  for (const std::string& id : ids) {
    TRY(put("/instances/" + id, Metadata::state, state_of(held)));
    TRY(put("/instances/" + id, Metadata::image_set, news.image_set_id));
    TRY(put("/instances/" + id, Metadata::import_job, news.import_job_id));
  }
  return {};
}

Result<void> Followup::tell_of_study(const Uid& study) {
  TRY_ASSIGN(const auto held, ledger_.instances(study.text(), kInstancesOfStudy));
  std::set<std::string> series;
  for (const InstanceView& view : held) series.insert(view.instance.series_instance_uid.text());
  TRY_ASSIGN(const auto ids, look_up(study, "Study"));
  for (const std::string& id : ids) TRY(put("/studies/" + id, Metadata::state, state_of(held)));
  for (const std::string& one : series) {
    std::vector<InstanceView> of_series;
    std::copy_if(
        held.begin(), held.end(), std::back_inserter(of_series),
        [&](const InstanceView& view) { return view.instance.series_instance_uid.text() == one; });
    TRY_ASSIGN(const auto found, look_up(Uid::parse(one).value_or(Uid()), "Series"));
    for (const std::string& id : found) {
      TRY(put("/series/" + id, Metadata::state, state_of(of_series)));
    }
  }
  return {};
}

// --- deletion -----------------------------------------------------------------------------------

Result<bool> Followup::clear() {
  if (!options_.delete_imported) return false;
  TRY_ASSIGN(const std::int64_t after, mark(kClearedMark));
  TRY_ASSIGN(const NewsPage page, ledger_.receiver_rows().news(kReceiver, after, kEventsAtOnce));
  const WallTime ripe = env_.clock.wall_now() - options_.retention;
  std::int64_t reached = page.reached;
  for (const DeliveryNews& news : page.news) {
    if (stopping_.load()) return false;
    if (news.at > ripe) {  // this one and all behind it come later
      reached = news.position - 1;
      break;
    }
    if (news.state == "imported") TRY(delete_copy(news));
  }
  if (reached <= after) return false;
  TRY(ledger_.receiver_rows().keep_mark(kClearedMark, std::to_string(reached)));
  return reached == page.reached;
}

Result<void> Followup::delete_copy(const DeliveryNews& news) {
  TRY_ASSIGN(const auto held, ledger_.instances(news.sop_instance_uid.text(), kInstancesOfStudy));
  TRY_ASSIGN(const auto ids, look_up(news.sop_instance_uid, "Instance"));
  for (const std::string& id : ids) {
    const auto reason = reason_to_keep(id, held);
    if (!reason.ok() && is_gone(reason.error())) continue;
    if (!reason.ok()) return reason.error();
    if (!reason->empty()) {
      env_.log.info("orthanc.kept", {{"archive_id", id}, {"reason", *reason}});
      env_.metrics
          .counter("orthanc_kept_total", "Instances not deleted from Orthanc after their import",
                   {{"reason", std::string(*reason)}})
          .add();
      continue;
    }
    const auto removed = archive_.remove("/instances/" + id);
    if (!removed.ok() && !is_gone(removed.error())) return removed.error();
    deleted_.add();
    env_.log.info("orthanc.deleted", {{"archive_id", id}});
  }
  return {};
}

Result<std::string_view> Followup::reason_to_keep(const std::string& archive_id,
                                                  const std::vector<InstanceView>& held) {
  if (!all_imported(held)) return std::string_view("not_imported");
  TRY_ASSIGN(const std::string patient, archive_.get("/instances/" + archive_id + "/patient"));
  TRY_ASSIGN(const std::string patient_id, own_id_in(patient));
  TRY_ASSIGN(const std::string is_protected,
             archive_.get("/patients/" + patient_id + "/protected"));
  if (is_protected != "0") {
    // Ours keeps Orthanc from recycling; this one is imported.
    if (!protection_) return std::string_view("protected");
    TRY_ASSIGN(const bool is_ours, protection_->is_ours(patient_id));
    if (!is_ours) return std::string_view("protected");
  }
  TRY_ASSIGN(const std::string file, archive_.get("/instances/" + archive_id + "/file"));
  const auto digest = dataset_digest_of(as_bytes(file));
  if (!digest.ok()) return std::string_view("other_bytes");
  const bool is_one_of_them = std::any_of(held.begin(), held.end(), [&](const InstanceView& view) {
    return view.instance.dataset_digest == *digest;
  });
  return is_one_of_them ? std::string_view() : std::string_view("other_bytes");
}

}  // namespace isthmus::plugin
