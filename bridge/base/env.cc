#include "base/env.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "base/digest.h"

namespace isthmus {
namespace {

class FileSource : public ByteSource {
 public:
  FileSource(std::unique_ptr<File> file, std::uint64_t offset, std::uint64_t length)
      : file_(std::move(file)), offset_(offset), length_(length) {}
  std::uint64_t size() const override { return length_; }
  Result<std::size_t> read(MutableByteSpan into) override {
    const auto wanted =
        static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), length_ - position_));
    if (wanted == 0) return std::size_t{0};
    TRY_ASSIGN(const std::size_t count, file_->read_at(offset_ + position_, into.first(wanted)));
    if (count == 0) {
      return permanent_error("disk.truncated", "The file is shorter than what is known of it.");
    }
    position_ += count;
    return count;
  }
  Result<void> rewind() override {
    position_ = 0;
    return {};
  }

 private:
  std::unique_ptr<File> file_;
  const std::uint64_t offset_;
  const std::uint64_t length_;
  std::uint64_t position_ = 0;
};

}  // namespace

std::string to_rfc3339(WallTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss<Milliseconds> clock(time - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count());
}

std::optional<WallTime> from_rfc3339(std::string_view text) {
  int year = 0;
  unsigned month = 0, day = 0, hour = 0, minute = 0, second = 0, millis = 0;
  int used = 0;
  const std::string copy(text);
  if (std::sscanf(copy.c_str(), "%4d-%2u-%2uT%2u:%2u:%2u%n", &year, &month, &day, &hour, &minute,
                  &second, &used) != 6) {
    return std::nullopt;
  }
  std::string_view rest = std::string_view(copy).substr(static_cast<std::size_t>(used));
  if (!rest.empty() && rest.front() == '.') {
    unsigned scale = 100;
    for (rest.remove_prefix(1); !rest.empty() && rest.front() >= '0' && rest.front() <= '9';
         rest.remove_prefix(1), scale /= 10) {
      millis += static_cast<unsigned>(rest.front() - '0') * scale;
    }
  }
  if (rest != "Z") return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month),
                                         std::chrono::day(day)};
  if (!date.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  return WallTime(std::chrono::sys_days(date)) + std::chrono::hours(hour) +
         std::chrono::minutes(minute) + std::chrono::seconds(second) + Milliseconds(millis);
}

std::string make_id_text(Env& env) {
  std::array<std::byte, 16> raw{};
  env.entropy.fill(raw);
  auto millis = static_cast<std::uint64_t>(env.clock.wall_now().time_since_epoch().count());
  for (std::size_t i = 6; i-- > 0; millis >>= 8) raw[i] = static_cast<std::byte>(millis & 0xFF);
  return to_hex(raw);
}

double unit_random(Entropy& entropy) {
  std::array<std::byte, 8> raw{};
  entropy.fill(raw);
  std::uint64_t bits = 0;
  for (const std::byte b : raw) bits = bits << 8 | std::to_integer<std::uint64_t>(b);
  return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

Result<void> File::write_pieces_at(std::uint64_t offset, std::span<const ByteSpan> pieces) {
  for (const ByteSpan piece : pieces) {
    TRY(write_at(offset, piece));
    offset += piece.size();
  }
  return {};
}

std::unique_ptr<ByteSource> source_of_file(std::unique_ptr<File> file, std::uint64_t offset,
                                           std::uint64_t length) {
  return std::make_unique<FileSource>(std::move(file), offset, length);
}

}  // namespace isthmus
