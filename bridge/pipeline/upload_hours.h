// The hours of the day in which a destination may be uploaded to, in the local time of the machine.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/env.h"

namespace isthmus {

class UploadHours {
 public:
  // Always.
  UploadHours() = default;
  // "22:00-06:00" and so on: from the first minute until before the second, over midnight when the
  // second is the earlier one. None: always. Nothing when one of them is not of this form, or is
  // empty ("08:00-08:00").
  static std::optional<UploadHours> parse(const std::vector<std::string>& windows);

  // How long until uploads are allowed, by the clock on the wall; 0 is now. A change of daylight
  // saving time in between is not seen: look again within the hour.
  Milliseconds until_open(Milliseconds time_of_day) const;
  bool is_always() const { return windows_.empty(); }

 private:
  struct Window {
    Milliseconds begin{0};
    Milliseconds end{0};
  };
  std::vector<Window> windows_;
};

// Since local midnight, in the machine's time zone (TZ, or /etc/localtime).
Milliseconds local_time_of_day(WallTime time);

}  // namespace isthmus
