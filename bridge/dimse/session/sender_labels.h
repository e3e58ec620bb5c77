// How long storing takes, by sender: it shows the sender whose network or whose Nagle's algorithm
// costs it tens of milliseconds an image (MEASURED.md section 12). The AE title of a sender that
// only the mode `open` let in comes from outside, and a metric's labels must be bounded: only the
// first senders get a label of their own.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "base/env.h"

namespace isthmus::dimse {

// Any thread.
class SenderLabels {
 public:
  static constexpr std::size_t kMostSenders = 128;

  explicit SenderLabels(Env& env) : env_(env) {}
  // dimse_store_seconds{sender}: the name, or "other" beyond kMostSenders and for names of other
  // characters than letters, digits, space, '_', '-' and '.'. `sender` is a sender's name, or the
  // calling AE title of one without.
  Histogram& store_seconds(const std::string& sender);

 private:
  Histogram& histogram(const std::string& label);

  Env& env_;
  std::mutex mutex_;
  std::map<std::string, Histogram*> own_;
};

}  // namespace isthmus::dimse
