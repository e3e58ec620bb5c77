// Replaces instances in a DICOM store, so that their metadata are others
// (imports/google_metadata.h).
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <set>

#include "base/failpoint.h"
#include "dicom/dictionary.h"
#include "imports/google/calls.h"
#include "imports/google/changed_file.h"
#include "imports/google/replacement_notes.h"
#include "imports/google/stored.h"
#include "imports/google_metadata.h"
#include "wire/healthcare.h"

namespace isthmus {
namespace {

namespace hc = wire::healthcare;
namespace notes = wire::replacements;
using google::SeriesPath;
using Newest = google::ReplacementNotes::Newest;

constexpr std::size_t kSearchPage = 5000;
constexpr const char* kDicomJson = "application/dicom+json";
constexpr Milliseconds kFirstPause{1'000};

std::string url_part(const std::string& text) {
  return http::percent_encode(text, false);
}

// Of calls' errors: the store's refusals by this port's names.
Error renamed(const Error& error) {
  constexpr std::string_view kTheirs = "import.";
  Error own = error;
  if (own.code.starts_with(kTheirs)) own.code = "metadata." + own.code.substr(kTheirs.size());
  return own;
}
template <typename T>
Result<T> asked(Result<T> answer) {
  if (answer.ok()) return answer;
  return renamed(answer.error());
}

Error going_on() {
  return transient_error("metadata.busy", "Instances of the series are being replaced.");
}
Error stale() {
  return permanent_error("metadata.stale", "The version is not the newest one.");
}
Error no_series() {
  return permanent_error("metadata.not_found", "The DICOM store has no such series.");
}
// Of what undoes an order: it is noted, and stands in the update's row.
Error refused(const std::string& why) {
  return permanent_error("metadata.refused", why);
}

std::optional<wire::DicomElement> tag_of(std::string_view name) {
  const auto known = dicom::find_element(name);
  if (!known) return std::nullopt;
  return wire::DicomElement{dicom::tag_hex(known->tag), known->vr};
}
std::optional<wire::ElementForm> form_of(std::string_view name) {
  const auto known = dicom::find_element(name);
  if (!known) return std::nullopt;
  return wire::ElementForm{known->keyword, known->vr, known->several_values};
}

// A file in the scratch folder; gone with this.
class Scratch {
 public:
  Scratch(Env& env, FileSystem::Path path) : env_(env), path_(std::move(path)) { drop(); }
  ~Scratch() { drop(); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  const FileSystem::Path& path() const { return path_; }

  // The bytes of a source, to its end; what they are.
  struct Copied {
    std::uint64_t size_bytes = 0;
    Digest digest;
  };
  Result<Copied> copy(ByteSource& from) {
    TRY_ASSIGN(const auto file, env_.files.open(path_, FileSystem::Mode::create_new));
    Sha256 sha;
    Copied copied;
    Bytes piece(static_cast<std::size_t>(256 * KiB));
    for (;;) {
      TRY_ASSIGN(const std::size_t got, from.read(piece));
      if (got == 0) break;
      const ByteSpan bytes = ByteSpan(piece).first(got);
      TRY(file->append(bytes));
      sha.update(bytes);
      copied.size_bytes += got;
    }
    copied.digest = sha.finish();
    return copied;
  }
  Result<std::unique_ptr<ByteSource>> open() const {
    TRY_ASSIGN(auto file, env_.files.open(path_, FileSystem::Mode::read_only));
    TRY_ASSIGN(const std::uint64_t size, file->size());
    return source_of_file(std::move(file), 0, size);
  }

 private:
  void drop() { ignore(env_.files.remove(path_), "it may not be there"); }

  Env& env_;
  const FileSystem::Path path_;
};

class GoogleReplacing final : public MetadataService {
 public:
  GoogleReplacing(Env& env, http::Transport& transport, TokenSource& tokens, ObjectStore& bucket,
                  GoogleReplacingOptions options)
      : env_(env),
        bucket_(bucket),
        options_(std::move(options)),
        calls_(env, transport, tokens, options_.endpoint, options_.retry),
        notes_(bucket, options_.prefix) {}

  MetadataLimits limits() const override { return options_.limits; }

  Result<ImageSetStatus> status(const std::string& image_set_id) override {
    const auto series = SeriesPath::parse(image_set_id);
    if (!series) return gone();
    TRY_ASSIGN(Newest newest, newest_of(*series));
    if (newest.is_going_on() && claim()) {
      go_on(newest.work.series, newest.work.version);
      release();
      TRY_ASSIGN(newest, newest_of(*series));
    }
    if (newest.version == 1) {
      TRY_ASSIGN(const auto found, search(series->study, series->series));
      if (found.empty()) return gone();
    }
    ImageSetStatus status;
    status.version = newest.version;
    status.primary = true;
    if (newest.is_going_on()) status.phase = ImageSetStatus::Phase::changing;
    if (newest.end) {
      status.update_failed = newest.end->failed;
      status.message = newest.end->message;
    }
    return status;
  }

  Result<MetadataValues> values(const std::string& image_set_id, std::int64_t,
                                const MetadataChange& change) override {
    const auto series = SeriesPath::parse(image_set_id);
    if (!series) return no_series();
    MetadataChange asked_of = change;
    std::set<std::string> instances;
    bool whole_series = false;
    for (AttributeChange& one : asked_of.attributes) {
      const bool elsewhere =
          !one.series_instance_uid.empty() && one.series_instance_uid != series->series;
      if (elsewhere) one.sop_instance_uid = "elsewhere";
      if (elsewhere) one.level = MetadataLevel::instance;
      if (one.level != MetadataLevel::instance) whole_series = true;
      if (one.level == MetadataLevel::instance && !elsewhere) {
        instances.insert(one.sop_instance_uid);
      }
    }
    if (whole_series) return values_in(series->text() + "/metadata", asked_of);
    MetadataValues values(asked_of.attributes.size());
    for (const std::string& sop : instances) {
      TRY_ASSIGN(const MetadataValues own,
                 values_in(series->text() + "/instances/" + url_part(sop) + "/metadata", asked_of));
      for (std::size_t i = 0; i < own.size(); ++i) {
        if (own[i]) values[i] = own[i];
      }
    }
    return values;
  }

  Result<std::int64_t> update(const std::string& image_set_id, const MetadataUpdate& update,
                              std::int64_t seen) override {
    notes::Order order;
    order.change = update.change;
    return accept(image_set_id, std::move(order), seen, update.include_study_image_sets);
  }

  Result<std::int64_t> revert(const std::string& image_set_id, std::int64_t to,
                              std::int64_t seen) override {
    if (to < 1 || to >= seen) return stale();
    notes::Order order;
    order.revert_to = to;
    return accept(image_set_id, std::move(order), seen, false);
  }

 private:
  static ImageSetStatus gone() {
    ImageSetStatus status;
    status.phase = ImageSetStatus::Phase::gone;
    return status;
  }

  // Whether something is going on is not known while the bucket does not answer: whoever asks
  // waits, as long as it takes.
  Result<Newest> newest_of(const SeriesPath& series) {
    auto newest = notes_.newest(series);
    if (newest.ok() || newest.error().fate != Fate::transient) return newest;
    env_.log.warn("metadata.replacing_waits", {{"error", describe(newest.error())}});
    return Error{"metadata.busy", newest.error().message, Fate::transient,
                 newest.error().retry_after};
  }

  // One thread works at a time; the others see what is there.
  bool claim() {
    const std::lock_guard lock(mutex_);
    if (working_) return false;
    working_ = true;
    return true;
  }
  void release() {
    const std::lock_guard lock(mutex_);
    working_ = false;
  }

  std::string web(const std::string& path) const {
    return "/v1/" + options_.dicom_store + "/dicomWeb/" + path;
  }

  Result<MetadataValues> values_in(const std::string& path, const MetadataChange& change) {
    auto text = calls_.get(web(path), kDicomJson);
    if (!text.ok() && text.error().code == "import.not_found") text = std::string("[]");
    if (!text.ok()) return renamed(text.error());
    auto values = notes::values_in(*text, change, tag_of, form_of);
    if (values.ok() || values.error().code == "metadata.unsupported") return values;
    return transient_error("metadata.unavailable", "The store's metadata cannot be read.");
  }

  // Of a study, or of one series in it.
  Result<std::vector<hc::FoundInstance>> search(const std::string& study,
                                                const std::string& series) {
    std::string path = "studies/" + url_part(study);
    if (!series.empty()) path += "/series/" + url_part(series);
    std::vector<hc::FoundInstance> all;
    for (;;) {
      auto text = calls_.get(
          web(fmt::format("{}/instances?limit={}&offset={}&includefield=SeriesInstanceUID", path,
                          kSearchPage, all.size())),
          kDicomJson);
      if (!text.ok() && text.error().code == "import.not_found") return all;
      if (!text.ok()) return renamed(text.error());
      TRY_ASSIGN(const auto page, asked(google::understood(hc::parse_instances(*text))));
      all.insert(all.end(), page.begin(), page.end());
      if (page.size() < kSearchPage) return all;
    }
  }

  // --- taking an order
  // ---------------------------------------------------------------------------

  Result<std::int64_t> accept(const std::string& image_set_id, notes::Order order,
                              std::int64_t seen, bool with_study) {
    const auto series = SeriesPath::parse(image_set_id);
    if (!series) return no_series();
    TRY_ASSIGN(const Newest newest, newest_of(*series));
    if (newest.is_going_on()) return going_on();
    if (newest.version == 1) {
      TRY_ASSIGN(const auto found, search(series->study, series->series));
      if (found.empty()) return no_series();
    }
    if (newest.version != seen) return stale();
    order.id = make_id_text(env_);
    if (with_study) TRY(order_others(*series, seen + 1, order));
    TRY(notes_.keep_order(*series, seen + 1, order));
    FAILPOINT(replace_ordered);
    return seen + 1;
  }

  // The other series first: their orders count once the one that carries them is noted, and it is
  // that one which is carried out, or undone, for all of them.
  Result<void> order_others(const SeriesPath& carrier, std::int64_t version, notes::Order& order) {
    TRY_ASSIGN(const auto instances, search(carrier.study, ""));
    std::set<std::string> others;
    for (const hc::FoundInstance& one : instances) others.insert(one.series_instance_uid);
    others.erase(carrier.series);
    std::vector<std::pair<SeriesPath, std::int64_t>> next;
    for (const std::string& uid : others) {
      const SeriesPath other{carrier.study, uid};
      order.others.push_back(uid);
      TRY_ASSIGN(const Newest newest, newest_of(other));
      if (newest.is_going_on()) return going_on();
      next.emplace_back(other, newest.version + 1);
    }
    notes::Order carried = order;
    carried.carrier = carrier.text();
    carried.carrier_version = version;
    for (const auto& [other, theirs] : next) TRY(notes_.keep_order(other, theirs, carried));
    return {};
  }

  // --- carrying it out
  // ---------------------------------------------------------------------------

  // What is done with one instance.
  struct Task {
    const SeriesPath& series;
    std::int64_t version;
    std::size_t place;
    const notes::Item& item;
    const notes::Order& order;
  };
  // How far this process has come with a version; another one begins at the front, and finds what
  // is done already.
  struct Progress {
    std::size_t kept = 0;
    std::size_t replaced = 0;
    std::size_t restored = 0;
    Milliseconds pause{0};
    SteadyTime again{};
  };
  using Way = Result<void> (GoogleReplacing::*)(const Task&);
  struct Round {
    const SeriesPath& series;
    std::int64_t version;
    const std::vector<notes::Item>& items;
    const notes::Order& order;
    SteadyTime until;
  };

  // An order that was noted is carried out or undone, whatever fails meanwhile: what fails is tried
  // again after a while, and nobody gives it up.
  void go_on(const SeriesPath& series, std::int64_t version) {
    const std::string key = series.text() + "/" + std::to_string(version);
    Progress& progress = progress_[key];
    if (env_.clock.steady_now() < progress.again) return;
    const Result<bool> ended = work(series, version, progress);
    if (ended.ok()) {
      progress.pause = Milliseconds(0);
      if (*ended) progress_.erase(key);
      return;
    }
    progress.pause = std::min(std::max(progress.pause * 2, kFirstPause), options_.longest_pause);
    progress.again = env_.clock.steady_now() +
                     std::max(progress.pause, ended.error().retry_after.value_or(Milliseconds(0)));
    env_.log.warn("metadata.replacing_waits",
                  {{"version", version}, {"error", describe(ended.error())}});
  }

  // Whether it came to its end.
  Result<bool> work(const SeriesPath& series, std::int64_t version, Progress& progress) {
    const SteadyTime until = env_.clock.steady_now() + options_.work_at_once;
    TRY_ASSIGN(const notes::Order order, notes_.order(series, version));
    TRY_ASSIGN(auto refusal, notes_.refusal(series, version));
    TRY_ASSIGN(const auto items, listed(series, version, order, refusal));
    const Round round{series, version, items, order, until};
    if (!refusal) {
      auto done = each(&GoogleReplacing::keep, round, progress.kept);
      if (done.ok() && *done) done = each(&GoogleReplacing::replace, round, progress.replaced);
      if (done.ok()) return *done ? finish(series, version, {}) : Result<bool>(false);
      if (!is_for_good(done.error())) return done.error();
      refusal = done.error().message;
      TRY(notes_.keep_refusal(series, version, *refusal));
      FAILPOINT(replace_refused);
    }
    TRY_ASSIGN(const bool all, each(&GoogleReplacing::restore, round, progress.restored));
    return all ? finish(series, version, {true, *refusal}) : Result<bool>(false);
  }

  static bool is_for_good(const Error& error) {
    return error.code == "metadata.refused" || error.code == "metadata.unsupported";
  }

  // Whether all were done in time. `next` is the first that is not.
  Result<bool> each(Way way, const Round& round, std::size_t& next) {
    while (next < round.items.size()) {
      TRY((this->*way)({round.series, round.version, next, round.items[next], round.order}));
      ++next;
      if (next < round.items.size() && env_.clock.steady_now() >= round.until) return false;
    }
    return true;
  }

  Result<bool> finish(const SeriesPath& series, std::int64_t version, const notes::End& end) {
    TRY(notes_.keep_end(series, version, end));
    FAILPOINT(replace_ended);
    env_.log.info("metadata.replaced", {{"version", version}, {"undone", end.failed}});
    return true;
  }

  // The instances that the order is about, noted before anything is done with them.
  Result<std::vector<notes::Item>> listed(const SeriesPath& series, std::int64_t version,
                                          const notes::Order& order,
                                          std::optional<std::string>& refusal) {
    TRY_ASSIGN(auto noted, notes_.items(series, version));
    if (noted) return std::move(*noted);
    if (refusal) return std::vector<notes::Item>();
    auto items = order.revert_to > 0 ? items_to_revert(series, version, order)
                                     : items_to_change(series, order);
    if (!items.ok() && items.error().fate == Fate::permanent) {
      refusal = items.error().message;  // nothing was touched: there is nothing to undo
      return std::vector<notes::Item>();
    }
    TRY(items);
    TRY(notes_.keep_items(series, version, *items));
    FAILPOINT(replace_listed);
    return items;
  }

  Result<std::vector<notes::Item>> items_to_change(const SeriesPath& series,
                                                   const notes::Order& order) {
    std::set<std::string> named;
    bool whole_series = false;
    for (const AttributeChange& one : order.change.attributes) {
      if (one.level == MetadataLevel::instance) named.insert(one.sop_instance_uid);
      if (one.level != MetadataLevel::instance) whole_series = true;
    }
    std::vector<notes::Item> items;
    if (!whole_series) {
      for (const std::string& sop : named) items.push_back({series.series, sop, ""});
      return items;
    }
    TRY(add_series(series, items));
    for (const std::string& other : order.others) TRY(add_series({series.study, other}, items));
    return items;
  }

  Result<void> add_series(const SeriesPath& series, std::vector<notes::Item>& items) {
    TRY_ASSIGN(const auto found, search(series.study, series.series));
    // A search is late at times; what it does not show must not stay as it was.
    const auto text = calls_.get(web(series.text() + ":getSeriesMetrics"));
    if (!text.ok() && text.error().code != "import.not_found") return renamed(text.error());
    std::int64_t count = 0;
    if (text.ok()) {
      TRY_ASSIGN(count, asked(google::understood(hc::parse_instance_count(*text))));
    }
    if (count > static_cast<std::int64_t>(found.size())) {
      return transient_error("metadata.unavailable",
                             "The store has more instances of the series than a search finds yet.");
    }
    for (const hc::FoundInstance& one : found) {
      items.push_back({series.series, one.sop_instance_uid, ""});
    }
    return {};
  }

  // Of each instance that was replaced since, the oldest original.
  Result<std::vector<notes::Item>> items_to_revert(const SeriesPath& series, std::int64_t version,
                                                   const notes::Order& order) {
    const Error lost = refused("The originals of this version are not in the bucket any more.");
    std::vector<notes::Item> items;
    std::set<std::string> seen;
    for (std::int64_t one = order.revert_to + 1; one < version; ++one) {
      TRY_ASSIGN(const auto kept, notes_.place_of(series, one));
      if (!kept) return lost;
      TRY_ASSIGN(const auto end, notes_.end(kept->series, kept->version));
      if (end && end->failed) continue;
      TRY_ASSIGN(const auto theirs, notes_.items(kept->series, kept->version));
      if (!theirs) return lost;
      for (std::size_t place = 0; place < theirs->size(); ++place) {
        if (theirs->at(place).series_instance_uid != series.series) continue;
        const std::string& sop = theirs->at(place).sop_instance_uid;
        if (!seen.insert(sop).second) continue;
        const ObjectKey original = notes_.original(kept->series, kept->version, place);
        const auto there = bucket_.head(original);
        if (!there.ok() && there.error().code == "store.not_found") return lost;
        TRY(there);
        items.push_back({series.series, sop, original.text});
      }
    }
    return items;
  }

  // --- one instance
  // ------------------------------------------------------------------------------

  std::string target_of(const Task& task) const {
    return google::instance_target(options_.dicom_store, task.series.study,
                                   task.item.series_instance_uid, task.item.sop_instance_uid);
  }
  ObjectKey original_of(const Task& task) const {
    return notes_.original(task.series, task.version, task.place);
  }

  // Puts the instance as it is into the bucket, unless it is there, and tries the change on it.
  Result<void> keep(const Task& task) {
    const auto there = bucket_.head(original_of(task));
    if (there.ok()) return {};
    if (there.error().code != "store.not_found") return there.error();
    Scratch scratch(env_, options_.scratch / "original.dcm");
    auto stored = calls_.open(target_of(task), google::kStoredBytes);
    const bool is_there = stored.ok();
    if (!is_there && stored.error().code != "import.not_found") return renamed(stored.error());
    Scratch::Copied copied;
    if (is_there) {
      TRY_ASSIGN(copied, scratch.copy(**stored));
    }
    if (is_there && task.item.from.empty()) {
      TRY(google::changed_file(env_, scratch.path(), task.item.sop_instance_uid,
                               task.order.change));
    }
    std::shared_ptr<ByteSource> bytes = source_of(std::string());
    if (is_there) {
      TRY_ASSIGN(bytes, scratch.open());
    }
    TRY(bucket_.put(original_of(task), bytes, is_there ? copied.digest : sha256("")));
    FAILPOINT(replace_kept);
    return {};
  }

  // What an instance was, what it is to be, and what the store has now, by their data sets.
  struct Forms {
    std::optional<Digest> original;
    std::optional<Digest> wanted;
    std::optional<Digest> current;
  };

  static Result<std::optional<Digest>> digest_of(ByteSource& source) {
    if (source.size() == 0) return std::optional<Digest>();
    TRY(source.rewind());
    TRY_ASSIGN(const Digest digest, google::dataset_digest_of(source));
    return std::optional(digest);
  }

  Result<std::optional<Digest>> stored_digest(const Task& task) {
    auto stored = calls_.open(target_of(task), google::kStoredBytes);
    if (!stored.ok() && stored.error().code == "import.not_found") return std::optional<Digest>();
    if (!stored.ok()) return renamed(stored.error());
    TRY_ASSIGN(const Digest digest, google::dataset_digest_of(**stored));
    return std::optional(digest);
  }

  Result<std::unique_ptr<ByteSource>> copied(const ObjectKey& key, Scratch& scratch) {
    TRY_ASSIGN(const auto source, bucket_.get(key));
    TRY(scratch.copy(*source));
    return scratch.open();
  }

  // Both forms as sources; an empty one is an instance that was not there, or is to go.
  struct Sources {
    std::shared_ptr<ByteSource> original;
    std::shared_ptr<ByteSource> wanted;
  };
  Result<Sources> sources_of(const Task& task, Scratch& original, Scratch& wanted) {
    Sources sources;
    TRY_ASSIGN(sources.original, copied(original_of(task), original));
    sources.wanted = source_of(std::string());
    if (!task.item.from.empty()) {
      TRY_ASSIGN(sources.wanted, copied(ObjectKey{task.item.from}, wanted));
    } else if (sources.original->size() > 0 &&
               !google::removes(task.order.change, task.item.sop_instance_uid)) {
      TRY_ASSIGN(sources.wanted,
                 google::changed_file(env_, original.path(), task.item.sop_instance_uid,
                                      task.order.change));
    }
    return sources;
  }
  Result<Forms> forms_of(const Task& task, const Sources& sources) {
    Forms forms;
    TRY_ASSIGN(forms.original, digest_of(*sources.original));
    TRY_ASSIGN(forms.wanted, digest_of(*sources.wanted));
    TRY_ASSIGN(forms.current, stored_digest(task));
    return forms;
  }

  // Deletes nothing but what is in the bucket, byte for byte.
  Result<void> replace(const Task& task) {
    Scratch original(env_, options_.scratch / "original.dcm");
    Scratch wanted(env_, options_.scratch / "wanted.dcm");
    TRY_ASSIGN(const Sources sources, sources_of(task, original, wanted));
    TRY_ASSIGN(const Forms forms, forms_of(task, sources));
    if (forms.current == forms.wanted) return {};
    if (forms.current && forms.current != forms.original) {
      return refused("Somebody else replaced an instance meanwhile.");
    }
    if (forms.current) {
      TRY(asked(calls_.remove(target_of(task))));
      FAILPOINT(replace_deleted);
    }
    if (forms.wanted) {
      TRY(store(sources.wanted));
      FAILPOINT(replace_stored);
    }
    return expect(task, forms.wanted);
  }

  // Of an order that is undone: the original is there again.
  Result<void> restore(const Task& task) {
    const auto there = bucket_.head(original_of(task));
    if (!there.ok() && there.error().code == "store.not_found") return {};  // never touched
    TRY(there);
    Scratch original(env_, options_.scratch / "original.dcm");
    Scratch wanted(env_, options_.scratch / "wanted.dcm");
    auto sources = sources_of(task, original, wanted);
    if (!sources.ok() && sources.error().code == "metadata.unsupported") return {};  // as above
    TRY(sources);
    TRY_ASSIGN(const Forms forms, forms_of(task, *sources));
    if (forms.current == forms.original) return {};
    if (forms.current && forms.current != forms.wanted) return {};  // somebody else's
    if (forms.current) {
      TRY(asked(calls_.remove(target_of(task))));
      FAILPOINT(replace_deleted);
    }
    if (forms.original) {
      const auto stored = store(sources->original);
      if (!stored.ok() && stored.error().code == "metadata.refused") {
        return transient_error("metadata.unavailable",
                               "The store does not take an original back: it is in the bucket.");
      }
      TRY(stored);
      FAILPOINT(replace_restored);
    }
    return expect(task, forms.original);
  }

  Result<void> store(const std::shared_ptr<ByteSource>& bytes) {
    TRY(bytes->rewind());
    TRY_ASSIGN(const google::Calls::Answer answer, asked(calls_.store(web("studies"), bytes)));
    const auto said = hc::parse_store_answer(answer.text);
    if (said.ok() && !said->stored.empty() && said->failed.empty()) return {};
    const bool understood = said.ok() && !said->failed.empty();
    const bool is_there =
        understood && said->failed.front().text.find("already exists") != std::string::npos;
    constexpr int kOutOfResourcesMask = 0xFF00, kOutOfResources = 0xA700;  // PS3.4 table B.2-1
    const bool later =
        understood && (said->failed.front().reason & kOutOfResourcesMask) == kOutOfResources;
    const bool is_for_good = understood ? !later && !is_there : answer.status == 400;
    if (is_for_good) return refused("The DICOM store would not take the changed instance.");
    if (answer.status >= 300) return renamed(answer.error);
    return transient_error("metadata.unavailable", "The store does not say what it stored.");
  }

  // The store has what it was given.
  Result<void> expect(const Task& task, const std::optional<Digest>& form) {
    TRY_ASSIGN(const std::optional<Digest> now, stored_digest(task));
    if (now == form) return {};
    return transient_error("metadata.unavailable", "The store does not show what it was given.");
  }

  Env& env_;
  ObjectStore& bucket_;
  const GoogleReplacingOptions options_;
  google::Calls calls_;
  google::ReplacementNotes notes_;
  std::mutex mutex_;
  bool working_ = false;
  std::map<std::string, Progress> progress_;  // of whoever has claimed the work
};

}  // namespace

Result<std::unique_ptr<MetadataService>> make_google_replacing(Env& env, http::Transport& transport,
                                                               TokenSource& tokens,
                                                               ObjectStore& bucket,
                                                               GoogleReplacingOptions options) {
  TRY(env.files.create_directories(options.scratch));
  return std::unique_ptr<MetadataService>(
      std::make_unique<GoogleReplacing>(env, transport, tokens, bucket, std::move(options)));
}

}  // namespace isthmus
