#include "senders/shares.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>

namespace isthmus {
namespace {

constexpr std::array<std::string_view, 4> kRefusals{"none", "max_associations",
                                                    "sender_associations", "sender_share"};
constexpr std::string_view kOther = "other";
constexpr std::size_t kReservedPart = 8;   // of all associations
constexpr std::size_t kPartOfReserve = 4;  // for one sender

}  // namespace

std::string_view to_string(ShareRefusal refusal) {
  return kRefusals[static_cast<std::size_t>(refusal)];
}

void TokenBucket::fill(SteadyTime now) {
  const double passed = std::chrono::duration<double>(now - last_).count();
  tokens_ = std::min(per_second_, tokens_ + std::max(passed, 0.0) * per_second_);
  last_ = now;
}

Milliseconds TokenBucket::take(SteadyTime now, double amount) {
  if (per_second_ <= 0) return Milliseconds(0);
  fill(now);
  tokens_ -= amount;
  if (tokens_ >= 0) return Milliseconds(0);
  return Milliseconds(static_cast<std::int64_t>(std::ceil(-tokens_ / per_second_ * 1000)));
}

ShareRefusal judge_share(const ShareState& state) {
  if (state.open >= state.total) return ShareRefusal::max_associations;
  if (state.limit_of_sender > 0 && state.open_of_sender >= state.limit_of_sender) {
    return ShareRefusal::sender_associations;
  }
  const std::size_t reserve = state.has_others ? state.total / kReservedPart : 0;
  const bool only_reserve_left = state.total - state.open <= reserve;
  const std::size_t few = std::max<std::size_t>(1, reserve / kPartOfReserve);
  return only_reserve_left && state.open_of_sender >= few ? ShareRefusal::sender_share
                                                          : ShareRefusal::none;
}

bool SenderCounts::take(const std::string& key, std::size_t limit) {
  const std::lock_guard lock(mutex_);
  std::size_t& held = held_[key];
  if (held >= limit) return false;
  ++held;
  return true;
}

void SenderCounts::give_back(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto found = held_.find(key);
  ASSERT(found != held_.end() && found->second > 0);
  if (--found->second == 0) held_.erase(found);
}

SenderShares::SenderShares(Env& env, const Senders& senders, std::size_t total,
                           SenderCounts* counts)
    : env_(env), senders_(senders), total_(total), counts_(counts) {}

SenderShares::Account& SenderShares::account_of(const std::string& key, const Sender& sender) {
  Account& account = accounts_[key];
  if (account.label.empty()) {
    account.label = sender.name.empty() ? std::string(kOther) : sender.name;
    account.associations = &env_.metrics.gauge("senders_associations", "Open associations",
                                               {{"sender", account.label}});
    account.paced = &env_.metrics.counter("senders_paced_seconds_total",
                                          "Time that senders were kept waiting by their limits",
                                          {{"sender", account.label}});
  }
  if (account.limits != sender.limits) {
    account.limits = sender.limits;
    account.bytes = TokenBucket(sender.limits.bytes_per_second);
    account.instances = TokenBucket(sender.limits.instances_per_second);
  }
  return account;
}

SenderShares::Answer SenderShares::open(const Sender& sender, const SenderRequest& request) {
  const std::string key = sender.name.empty()
                              ? request.calling_ae_title + "@" + request.peer_address
                              : "=" + sender.name;
  const bool others_known = senders_.count() > 1;
  const std::lock_guard lock(mutex_);
  Account& account = account_of(key, sender);
  const bool others_active = open_ > account.open;
  const ShareRefusal refusal = judge_share(
      {total_, open_, account.open, sender.limits.associations, others_known || others_active});
  const bool is_stranger = sender.name.empty();
  if (refusal != ShareRefusal::none) return refuse(key, account, is_stranger, refusal);
  const SenderLimits& limits = sender.limits;
  const bool is_counted = counts_ != nullptr && limits.associations > 0;
  if (is_counted && !counts_->take(key, limits.associations)) {
    return refuse(key, account, is_stranger, ShareRefusal::sender_associations);
  }
  ++open_;
  ++account.open;
  account.associations->add(1);
  const bool is_paced = limits.bytes_per_second > 0 || limits.instances_per_second > 0;
  return {refusal, Place(*this, key, is_paced, is_counted)};
}

SenderShares::Answer SenderShares::refuse(const std::string& key, Account& account,
                                          bool is_stranger, ShareRefusal refusal) {
  env_.metrics
      .counter("senders_limited_total", "Associations refused by a limit",
               {{"sender", account.label}, {"limit", std::string(to_string(refusal))}})
      .add();
  if (account.open == 0 && is_stranger) accounts_.erase(key);
  return {refusal, {}};
}

std::size_t SenderShares::total_open() const {
  const std::lock_guard lock(mutex_);
  return open_;
}

void SenderShares::close(const std::string& key, bool is_counted) {
  if (is_counted) counts_->give_back(key);
  const std::lock_guard lock(mutex_);
  const auto found = accounts_.find(key);
  ASSERT(found != accounts_.end() && found->second.open > 0 && open_ > 0);
  --open_;
  --found->second.open;
  found->second.associations->add(-1);
  if (found->second.open == 0 && found->second.limits == SenderLimits{}) accounts_.erase(found);
}

Milliseconds SenderShares::pace(const std::string& key, TokenBucket Account::*bucket,
                                double amount) {
  const std::lock_guard lock(mutex_);
  const auto found = accounts_.find(key);
  ASSERT(found != accounts_.end());
  const Milliseconds wait = (found->second.*bucket).take(env_.clock.steady_now(), amount);
  found->second.paced->add(std::chrono::duration<double>(wait).count());
  return wait;
}

SenderShares::Place& SenderShares::Place::operator=(Place&& other) noexcept {
  std::swap(shares_, other.shares_);
  std::swap(key_, other.key_);
  std::swap(is_paced_, other.is_paced_);
  std::swap(is_counted_, other.is_counted_);
  return *this;
}

SenderShares::Place::~Place() {
  if (shares_ != nullptr) shares_->close(key_, is_counted_);
}

Milliseconds SenderShares::Place::pace_bytes(std::uint64_t bytes) {
  if (!is_paced_) return Milliseconds(0);
  return shares_->pace(key_, &Account::bytes, static_cast<double>(bytes));
}

Milliseconds SenderShares::Place::pace_instance() {
  if (!is_paced_) return Milliseconds(0);
  return shares_->pace(key_, &Account::instances, 1);
}

}  // namespace isthmus
