// Repair: what Orthanc holds and the ledger does not know is fetched from Orthanc. That is what a
// failed stored-instance callback left behind, what came while the plugin was off, what a SIGKILL
// cut short, and, when it is wanted, what was there before the plugin (import_existing).
//
// Two readers on one thread. The feed follows Orthanc's /changes from a mark in the ledger. Whether
// that mark is of this database a note in the database itself tells: whose it is, and how far the
// feed had come when it was written. The lesser of the two is where a start goes on, so that ledger
// and database can each be restored from a back-up. The
// walk goes through the studies in the order of Orthanc's ids, once, at a bounded rate; it keeps
// its mark after each study. Both may fetch what is known already: the ledger knows an instance by
// its UID and bytes, and answers "known".
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/thread.h"
#include "ledger/receiver_rows.h"
#include "plugin/archive.h"

namespace isthmus::plugin {

enum class Existing { none, since, all };

struct FeedOptions {
  Milliseconds poll{1'000};
  // A change that the callback is still working on is not fetched before this has passed.
  Milliseconds grace{5'000};
  Existing existing = Existing::none;
  std::string since;                // of Existing::since: "20260131", when Orthanc received it
  double existing_per_second = 20;  // instances
};

struct FeedStatus {
  std::int64_t position = 0;  // of the feed: changes up to here are dealt with
  std::int64_t last = 0;      // Orthanc's newest, when it was last asked
  std::string walk;           // "none", "running" or "done"
  std::int64_t walk_studies = 0, walk_studies_in_all = 0, walk_instances = 0;
};

// Metrics: orthanc_fetched_total{reader}, orthanc_gone_total, orthanc_feed_behind_count,
// orthanc_untaken_count, orthanc_existing_studies_left_count.
class Feed {
 public:
  // Takes a file that Orthanc holds: durable when it returns (intake.h).
  using Take = std::function<Result<Receipt>(const Origin&, ByteSpan file)>;

  // References must outlive it.
  Feed(Env& env, Archive& archive, ReceiverRows& rows, Take take, FeedOptions options);
  ~Feed() { stop(); }

  // Orthanc's REST API answers from now on. Any thread; once.
  void start();
  // Synchronous, safe twice, safe before start().
  void stop();
  // Lets it end as soon as it can, without waiting. Any thread.
  void begin_to_stop();

  // The callback has this one: its change needs no fetching. Any thread.
  void taken(const std::string& archive_id);
  // The callback could not take this one: whatever it took before under this id, what Orthanc holds
  // now is fetched. Any thread.
  void missed(const std::string& archive_id);

  FeedStatus status() const;

  // One bounded piece of work; gives how long nothing is to be done. What the thread calls; tests
  // call it themselves.
  Milliseconds run_once();

 private:
  struct Change {
    std::int64_t position;
    std::string archive_id;
  };
  struct Page {
    std::vector<Change> changes;
    std::int64_t reached = 0;
    bool done = true;
  };

  Result<void> open_marks();
  // Where the feed goes on, by the ledger and by the note; nothing at the first start.
  Result<std::optional<std::int64_t>> known_position();
  Result<void> keep_note();
  Result<void> begin_walk();
  Result<Page> read_page();
  // True when the page was dealt with to its end.
  Result<bool> follow(const Page& page);
  bool was_taken(const std::string& archive_id);
  void forget_taken();
  bool is_young(const Change& change);
  Result<void> keep_position(std::int64_t position);
  // A few instances of the walk; gives how long nothing is to be done then, to keep to the rate.
  Result<Milliseconds> walk();
  Result<void> open_study(const std::string& study);
  Result<void> conclude_study();
  bool wanted(const std::string& archive_id);
  Result<void> keep_walk();
  Result<void> retry_untaken();
  // Fetches one instance. Only errors after which the same has to be tried again come out: what can
  // never be taken is noted for a person, what is gone is counted.
  Result<void> fetch(const std::string& archive_id, Counter& fetched);
  Result<void> put_aside(const std::string& archive_id, const Error& why);
  Milliseconds give_way(const Error& error);

  Env& env_;
  Archive& archive_;
  ReceiverRows& rows_;
  const Take take_;
  const FeedOptions options_;
  Counter& fetched_by_feed_;
  Counter& fetched_by_walk_;
  Counter& gone_;
  Gauge& behind_;
  Gauge& untaken_;
  Gauge& studies_left_;

  // Of the thread.
  bool opened_ = false;
  std::int64_t position_ = 0;
  std::int64_t kept_position_ = 0;
  std::int64_t last_at_start_ = 0;
  std::string identity_;  // of the database, made by us
  SteadyTime noted_at_{};
  std::optional<Change> waiting_;  // young, and since when it is waited for
  SteadyTime waiting_since_{};
  std::string failing_;  // the instance that failed last, and how often in a row
  int failures_ = 0;
  bool walking_ = false;
  std::string walk_after_;
  std::vector<std::string> walk_studies_;    // taken from the end
  std::vector<std::string> walk_instances_;  // of the study at their end
  int waits_ = 0;                            // in a row, after errors

  mutable std::mutex mutex_;
  struct Taken {
    int times = 0;
    std::int64_t poll = 0;  // the last one that had begun by then
  };
  std::map<std::string, Taken, std::less<>> taken_;
  std::int64_t poll_ = 0;
  FeedStatus status_;

  std::atomic<bool> stopping_{false};
  Wakeup wakeup_;
  Thread thread_;
};

}  // namespace isthmus::plugin
