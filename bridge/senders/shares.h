// Fairness between senders: how many associations each may hold, and how fast it is read from. One
// that floods is refused, or read slowly, and the others do not notice.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/env.h"
#include "senders/senders.h"

namespace isthmus {

// Lets `per_second` through on average, and what adds up in a second at once. 0 lets everything
// through. One thread at a time.
class TokenBucket {
 public:
  explicit TokenBucket(double per_second) : per_second_(per_second), tokens_(per_second) {}

  // Takes `amount`, into debt if need be, and gives how long to wait before more is taken.
  Milliseconds take(SteadyTime now, double amount);

 private:
  void fill(SteadyTime now);

  double per_second_;
  double tokens_;
  SteadyTime last_{};
};

// Why a sender gets no further association now; all of them pass.
enum class ShareRefusal : std::uint8_t {
  none,
  max_associations,     // of all senders together
  sender_associations,  // its own limit
  sender_share,         // what is left is kept for others
};
std::string_view to_string(ShareRefusal refusal);  // stable; a literal

struct ShareState {
  std::size_t total = 0;  // associations that there may be at once
  std::size_t open = 0;   // … and are
  std::size_t open_of_sender = 0;
  std::size_t limit_of_sender = 0;  // 0: none of its own
  bool has_others = false;          // other senders are known, or active
};

// An eighth of all associations is kept for senders that hold few: when no more than that is free,
// a sender gets one only while it holds fewer than a quarter of the eighth (one at least). Nothing
// is kept when there is nobody to keep it for.
ShareRefusal judge_share(const ShareState& state);

// What each sender holds in all, by whichever way in: its own limit is for all of them together.
// Any thread.
class SenderCounts {
 public:
  // False when it holds `limit` already.
  bool take(const std::string& key, std::size_t limit);
  void give_back(const std::string& key);

 private:
  std::mutex mutex_;
  std::map<std::string, std::size_t> held_;
};

// Who holds what. Any thread. Counts senders_limited_total and senders_paced_seconds_total, and
// shows senders_associations: by the sender's name, "other" for those without one.
class SenderShares {
 public:
  // `total` associations at once. `counts`, when given, is shared by those whose senders' own
  // limits are to be one. References must outlive it, and it its places.
  SenderShares(Env& env, const Senders& senders, std::size_t total, SenderCounts* counts = nullptr);

  // One association's place, given back when it is destroyed.
  class Place {
   public:
    Place() = default;
    Place(Place&& other) noexcept
        : shares_(std::exchange(other.shares_, nullptr)),
          key_(std::move(other.key_)),
          is_paced_(other.is_paced_),
          is_counted_(other.is_counted_) {}
    Place& operator=(Place&& other) noexcept;
    ~Place();

    // How long to wait before more is read, after so many bytes, or the beginning of an instance.
    Milliseconds pace_bytes(std::uint64_t bytes);
    Milliseconds pace_instance();

   private:
    friend class SenderShares;
    Place(SenderShares& shares, std::string key, bool is_paced, bool is_counted)
        : shares_(&shares), key_(std::move(key)), is_paced_(is_paced), is_counted_(is_counted) {}

    SenderShares* shares_ = nullptr;
    std::string key_;
    bool is_paced_ = false;    // else nothing is to be asked on the way of every byte
    bool is_counted_ = false;  // in SenderCounts, too
  };

  struct Answer {
    ShareRefusal refusal = ShareRefusal::none;
    Place place;  // holds one unless refused
  };
  // Senders without a name are told apart by AE title and address.
  Answer open(const Sender& sender, const SenderRequest& request);
  std::size_t total_open() const;

 private:
  struct Account {
    std::string label;
    std::size_t open = 0;
    SenderLimits limits;
    TokenBucket bytes{0};
    TokenBucket instances{0};
    Gauge* associations = nullptr;
    Counter* paced = nullptr;
  };
  void close(const std::string& key, bool is_counted);
  Answer refuse(const std::string& key, Account& account, bool is_stranger, ShareRefusal refusal);
  Milliseconds pace(const std::string& key, TokenBucket Account::*bucket, double amount);
  Account& account_of(const std::string& key, const Sender& sender);

  Env& env_;
  const Senders& senders_;
  const std::size_t total_;
  SenderCounts* const counts_;
  mutable std::mutex mutex_;
  std::size_t open_ = 0;
  // Of active senders, and of those with limits as long as they are known: who comes again does not
  // begin with a full bucket.
  std::map<std::string, Account> accounts_;
};

}  // namespace isthmus
