#include "plugin/feed.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "plugin/answers.h"

namespace isthmus::plugin {
namespace {

using Json = nlohmann::json;

constexpr const char* kFeedMark = "orthanc.feed";
constexpr const char* kDatabaseMark = "orthanc.database";
constexpr const char* kWalkMark = "orthanc.existing";
constexpr int kChangesAtOnce = 500;
constexpr std::size_t kTakenAtMost = 100'000;
constexpr std::size_t kWalkedAtOnce = 100;
constexpr std::size_t kUntakenLooked = 10'000;
// Orthanc failing on one instance so often in a row is put aside, so that others are not kept back.
constexpr int kPatience = 5;
constexpr Milliseconds kBetweenNotes{10'000};
constexpr Milliseconds kFirstWait{200};
constexpr int kLongestDoubling = 7;  // 25 s

std::string_view word(Existing existing) {
  if (existing == Existing::all) return "all";
  return existing == Existing::since ? "since" : "none";
}

}  // namespace

Feed::Feed(Env& env, Archive& archive, ReceiverRows& rows, Take take, FeedOptions options)
    : env_(env),
      archive_(archive),
      rows_(rows),
      take_(std::move(take)),
      options_(std::move(options)),
      fetched_by_feed_(env.metrics.counter("orthanc_fetched_total",
                                           "Instances fetched from Orthanc, known ones included",
                                           {{"reader", "feed"}})),
      fetched_by_walk_(env.metrics.counter("orthanc_fetched_total",
                                           "Instances fetched from Orthanc, known ones included",
                                           {{"reader", "existing"}})),
      gone_(env.metrics.counter("orthanc_gone_total",
                                "Instances that Orthanc had no more when they were fetched")),
      behind_(env.metrics.gauge("orthanc_feed_behind_count", "Changes not looked at yet")),
      untaken_(env.metrics.gauge("orthanc_untaken_count",
                                 "Instances in Orthanc that cannot be taken: ask for a person")),
      studies_left_(env.metrics.gauge("orthanc_existing_studies_left_count",
                                      "Studies that import_existing has not looked at yet")) {
  status_.walk = "none";
}

void Feed::start() {
  if (stopping_.load() || thread_.joinable()) return;
  thread_ = Thread(env_, "orthanc-feed", [this] {
    while (!stopping_.load()) {
      const Milliseconds wait = run_once();
      if (wait > Milliseconds{0}) wakeup_.wait_for(wait);
    }
    if (opened_) ignore(keep_note(), "the next start looks at a little more");
  });
}

void Feed::begin_to_stop() {
  stopping_.store(true);
  wakeup_.notify();
}

void Feed::stop() {
  begin_to_stop();
  thread_.join();
}

void Feed::taken(const std::string& archive_id) {
  const std::lock_guard lock(mutex_);
  if (taken_.size() >= kTakenAtMost) taken_.clear();  // then they are fetched, and found known
  Taken& taken = taken_[archive_id];
  ++taken.times;
  taken.poll = poll_;
}

// Orthanc calls back without a change, too, when it keeps what it had: that one must not stand for
// the change of this one.
void Feed::missed(const std::string& archive_id) {
  const std::lock_guard lock(mutex_);
  taken_.erase(archive_id);
}

// Orthanc notes a change before it calls back. So what was taken before this poll began and is not
// in it any more was fetched before its callback returned: its change will not come again.
void Feed::forget_taken() {
  const std::lock_guard lock(mutex_);
  std::erase_if(taken_, [this](const auto& entry) { return entry.second.poll < poll_; });
}

bool Feed::was_taken(const std::string& archive_id) {
  const std::lock_guard lock(mutex_);
  const auto found = taken_.find(archive_id);
  if (found == taken_.end()) return false;
  if (--found->second.times == 0) taken_.erase(found);
  return true;
}

FeedStatus Feed::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

// --- the feed -----------------------------------------------------------------------------------

Milliseconds Feed::run_once() {
  if (!opened_) {
    if (auto opened = open_marks(); !opened.ok()) return give_way(opened.error());
    opened_ = true;
  }
  const auto page = read_page();
  if (!page.ok()) return give_way(page.error());
  const auto through = follow(*page);
  if (!through.ok()) return give_way(through.error());
  waits_ = 0;
  if (!*through) return std::min(options_.poll, Milliseconds{200});
  if (!page->done) return Milliseconds{0};
  forget_taken();
  if (!walking_) return options_.poll;
  const auto pause = walk();
  return pause.ok() ? *pause : give_way(pause.error());
}

Milliseconds Feed::give_way(const Error& error) {
  if (waits_ == 0) {
    env_.log.warn("orthanc.repair_waits", {{"code", error.code}, {"error", error.message}});
  }
  waits_ = std::min(waits_ + 1, kLongestDoubling);
  return kFirstWait * (1 << (waits_ - 1));
}

Result<std::optional<std::int64_t>> Feed::known_position() {
  TRY_ASSIGN(const std::string note, archive_.note());
  TRY_ASSIGN(const auto mark, rows_.mark(kFeedMark));
  TRY_ASSIGN(const auto database, rows_.mark(kDatabaseMark));
  const auto space = note.find(' ');
  identity_ = note.substr(0, space);
  const bool is_new = identity_.empty() || space == std::string::npos;
  if (is_new) identity_ = make_id_text(env_);
  TRY(rows_.keep_mark(kDatabaseMark, identity_));
  if (!mark) return std::optional<std::int64_t>();
  if (is_new || database != identity_) {
    env_.log.warn("orthanc.other_database", {{"position", *mark}});
    return std::optional<std::int64_t>(0);  // what is known of it is found known
  }
  const std::int64_t by_ledger = std::strtoll(mark->c_str(), nullptr, 10);
  return std::optional<std::int64_t>(
      std::min<std::int64_t>(by_ledger, std::strtoll(note.c_str() + space + 1, nullptr, 10)));
}

Result<void> Feed::open_marks() {
  TRY_ASSIGN(const std::string newest, archive_.get("/changes?last"));
  TRY_ASSIGN(last_at_start_, last_change_in(newest));
  TRY(begin_walk());
  TRY_ASSIGN(const auto known, known_position());
  // The first start: what was there before is the walk's.
  TRY(keep_position(known.value_or(last_at_start_)));
  TRY(keep_note());
  env_.log.info("orthanc.feed", {{"position", position_}, {"last", last_at_start_}});
  return retry_untaken();
}

// Not at each page: it is a write to Orthanc's database, and less is only more work at a start.
Result<void> Feed::keep_note() {
  noted_at_ = env_.clock.steady_now();
  return archive_.keep_note(identity_ + " " + std::to_string(position_));
}

Result<Feed::Page> Feed::read_page() {
  {
    const std::lock_guard lock(mutex_);
    ++poll_;
  }
  TRY_ASSIGN(const std::string text, archive_.get("/changes?since=" + std::to_string(position_) +
                                                  "&limit=" + std::to_string(kChangesAtOnce)));
  TRY_ASSIGN(const ChangesAnswer answer, changes_in(text));
  Page page;
  for (const auto& [position, id] : answer.new_instances) page.changes.push_back({position, id});
  page.reached = std::max(position_, answer.reached);
  page.done = answer.done;
  std::int64_t last = page.reached;
  if (!page.done) {
    TRY_ASSIGN(const std::string newest, archive_.get("/changes?last"));
    TRY_ASSIGN(last, last_change_in(newest));
  }
  behind_.set(static_cast<double>(last - position_));
  const std::lock_guard lock(mutex_);
  status_.last = last;
  return page;
}

// A callback may still be at work on what just came; what was there at the start has none.
bool Feed::is_young(const Change& change) {
  if (change.position <= last_at_start_) return false;
  const SteadyTime now = env_.clock.steady_now();
  if (!waiting_ || waiting_->position != change.position) {
    waiting_ = change;
    waiting_since_ = now;
  }
  return now - waiting_since_ < options_.grace;
}

Result<bool> Feed::follow(const Page& page) {
  for (const Change& change : page.changes) {
    if (stopping_.load()) return false;
    if (!was_taken(change.archive_id)) {
      if (is_young(change)) return false;
      if (auto fetched = fetch(change.archive_id, fetched_by_feed_); !fetched.ok()) {
        TRY(keep_position(position_));
        return fetched.error();
      }
    }
    position_ = change.position;
  }
  position_ = page.reached;
  TRY(keep_position(position_));
  return true;
}

Result<void> Feed::keep_position(std::int64_t position) {
  position_ = position;
  {
    const std::lock_guard lock(mutex_);
    status_.position = position;
    behind_.set(static_cast<double>(std::max<std::int64_t>(0, status_.last - position)));
  }
  if (position == kept_position_ && opened_) return {};
  TRY(rows_.keep_mark(kFeedMark, std::to_string(position)));
  kept_position_ = position;
  if (!opened_ || env_.clock.steady_now() - noted_at_ < kBetweenNotes) return {};
  return keep_note();
}

// --- one instance -------------------------------------------------------------------------------

Result<void> Feed::fetch(const std::string& archive_id, Counter& fetched) {
  const auto attempt = [&]() -> Result<Receipt> {
    TRY_ASSIGN(const std::string metadata,
               archive_.get("/instances/" + archive_id + "/metadata?expand"));
    TRY_ASSIGN(const std::string file, archive_.get("/instances/" + archive_id + "/file"));
    return take_(origin_in(metadata), as_bytes(file));
  };
  const auto receipt = attempt();
  if (receipt.ok()) {
    fetched.add();
    failing_.clear();
    env_.log.debug(
        "orthanc.fetched",
        {{"archive_id", archive_id}, {"instance", receipt->id.text()}, {"known", receipt->known}});
    return rows_.forget_untaken(archive_id);
  }
  const Error& error = receipt.error();
  if (error.code == "orthanc.not_found") {
    gone_.add();
    env_.log.warn("orthanc.gone_before_fetched", {{"archive_id", archive_id}});
    return rows_.forget_untaken(archive_id);
  }
  if (error.fate == Fate::permanent) return put_aside(archive_id, error);
  if (error.fate == Fate::transient && error.code.starts_with("orthanc.")) {
    failures_ = failing_ == archive_id ? failures_ + 1 : 1;
    failing_ = archive_id;
    if (failures_ >= kPatience) return put_aside(archive_id, error);
  }
  return error;
}

Result<void> Feed::put_aside(const std::string& archive_id, const Error& why) {
  env_.log.error("orthanc.untaken", {{"archive_id", archive_id}, {"code", why.code}});
  failing_.clear();
  TRY(rows_.note_untaken({archive_id, why.code, why.message, env_.clock.wall_now()}));
  TRY_ASSIGN(const auto all, rows_.untaken(kUntakenLooked));
  untaken_.set(static_cast<double>(all.size()));
  return {};
}

// Once at each start: what was wrong may have been mended.
Result<void> Feed::retry_untaken() {
  TRY_ASSIGN(const auto all, rows_.untaken(kUntakenLooked));
  for (const UntakenInstance& one : all) {
    if (stopping_.load()) return {};
    TRY(fetch(one.archive_id, fetched_by_feed_));
  }
  TRY_ASSIGN(const auto left, rows_.untaken(kUntakenLooked));
  untaken_.set(static_cast<double>(left.size()));
  return {};
}

// --- what was there before ----------------------------------------------------------------------

// The mark says for which wish it is: another wish is another walk.
Result<void> Feed::begin_walk() {
  if (options_.existing == Existing::none) return {};
  TRY_ASSIGN(const auto text, rows_.mark(kWalkMark));
  const Json mark = text ? Json::parse(*text, nullptr, false) : Json();
  const bool same = mark.is_object() && mark.value("existing", "") == word(options_.existing) &&
                    mark.value("since", "") == options_.since;
  {
    const std::lock_guard lock(mutex_);
    status_.walk = same && mark.value("done", false) ? "done" : "running";
    if (same) {
      status_.walk_studies = mark.value("studies", std::int64_t{0});
      status_.walk_studies_in_all = mark.value("studies_in_all", std::int64_t{0});
      status_.walk_instances = mark.value("instances", std::int64_t{0});
    }
    walking_ = status_.walk == "running";
  }
  if (!walking_) return {};
  if (same) walk_after_ = mark.value("after", "");
  TRY_ASSIGN(const std::string studies, archive_.get("/studies"));
  TRY_ASSIGN(walk_studies_, ids_in(studies));
  std::sort(walk_studies_.begin(), walk_studies_.end(), std::greater<>());  // taken from the end
  while (!walk_studies_.empty() && walk_studies_.back() <= walk_after_) walk_studies_.pop_back();
  {
    const std::lock_guard lock(mutex_);
    status_.walk_studies_in_all =
        status_.walk_studies + static_cast<std::int64_t>(walk_studies_.size());
  }
  env_.log.info("orthanc.existing_begins",
                {{"studies", walk_studies_.size()}, {"per_second", options_.existing_per_second}});
  return keep_walk();
}

Result<void> Feed::keep_walk() {
  Json mark;
  {
    const std::lock_guard lock(mutex_);
    mark = {{"existing", word(options_.existing)},
            {"since", options_.since},
            {"after", walk_after_},
            {"done", status_.walk == "done"},
            {"studies", status_.walk_studies},
            {"studies_in_all", status_.walk_studies_in_all},
            {"instances", status_.walk_instances}};
  }
  studies_left_.set(static_cast<double>(walk_studies_.size()));
  return rows_.keep_mark(kWalkMark, mark.dump());
}

Result<Milliseconds> Feed::walk() {
  if (walk_instances_.empty() && !walk_studies_.empty()) {
    TRY(open_study(walk_studies_.back()));
  }
  // About ten pieces a second, so that the feed is looked at in between.
  const double rate = options_.existing_per_second;
  const std::size_t piece =
      rate <= 0 ? kWalkedAtOnce : std::max<std::size_t>(1, static_cast<std::size_t>(rate / 10));
  std::size_t taken = 0, looked = 0;
  while (!walk_instances_.empty() && taken < piece && looked++ < kWalkedAtOnce) {
    if (stopping_.load()) return Milliseconds{0};
    const std::string id = walk_instances_.back();
    if (wanted(id)) {
      TRY(fetch(id, fetched_by_walk_));
      ++taken;
      const std::lock_guard lock(mutex_);
      ++status_.walk_instances;
    }
    walk_instances_.pop_back();
  }
  if (walk_instances_.empty()) {
    TRY(conclude_study());
  }
  if (rate <= 0) return Milliseconds{0};
  return Milliseconds(static_cast<std::int64_t>(static_cast<double>(taken) * 1000 / rate));
}

// Behind its last instance, or there is none left.
Result<void> Feed::conclude_study() {
  if (!walk_studies_.empty()) {
    walk_after_ = walk_studies_.back();
    walk_studies_.pop_back();
    const std::lock_guard lock(mutex_);
    ++status_.walk_studies;
  }
  walking_ = !walk_studies_.empty();
  if (!walking_) {
    const std::lock_guard lock(mutex_);
    status_.walk = "done";
  }
  TRY(keep_walk());
  const FeedStatus now = status();
  if (!walking_ || now.walk_studies % 100 == 0) {
    env_.log.info(walking_ ? "orthanc.existing_goes_on" : "orthanc.existing_done",
                  {{"studies", now.walk_studies},
                   {"studies_in_all", now.walk_studies_in_all},
                   {"instances", now.walk_instances}});
  }
  return {};
}

Result<void> Feed::open_study(const std::string& study) {
  const auto text = archive_.get("/studies/" + study + "/instances");
  if (!text.ok()) {
    if (text.error().code == "orthanc.not_found") return {};  // deleted meanwhile
    return text.error();
  }
  TRY_ASSIGN(walk_instances_, expanded_ids_in(*text));
  return {};
}

bool Feed::wanted(const std::string& archive_id) {
  if (options_.existing != Existing::since) return true;
  const auto text = archive_.get("/instances/" + archive_id + "/metadata?expand");
  // Gone, or Orthanc fails: fetch() says which, and puts it aside when that goes on.
  if (!text.ok()) return true;
  // "20260131T093000": a prefix of eight digits is the day. One without a date is taken.
  const std::string day = reception_day_in(*text);
  return day.empty() || day >= options_.since;
}

}  // namespace isthmus::plugin
