// Where a person admits, blocks and removes senders while the gateway runs, or while it does not:
// the daemon's control calls and the command line both come here.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/env.h"
#include "ledger/sender_rows.h"
#include "senders/senders.h"

namespace isthmus {

// What a person asks for.
struct SenderOrder {
  enum class Kind : std::uint8_t { admit, block, remove };
  Kind kind = Kind::admit;
  std::string who;                  // an AE title, or the name of an admitted sender
  std::string name;                 // admit: its name; empty: made of the AE title
  std::vector<std::string> from;    // addresses; empty: where it was seen; "any": everywhere
  std::vector<std::string> called;  // AE titles by which it may call us
  std::vector<std::string> tls_identities;
  std::vector<std::string> sop_classes;
  std::vector<std::string> destinations;
  std::string report_to;  // HOST:PORT
  bool report_tls = false;
  std::string report_tls_name;  // see ReportAddress
  std::string report_tls_pin;   // likewise, as people write it
  // admit: limits of its own; 0 takes one away, nothing leaves it.
  std::optional<double> associations;
  std::optional<double> instances_per_second;
  std::optional<double> bytes_per_second;
};

class SenderDesk {
 public:
  // `senders` may be absent (no gateway runs here): then the next start reads what was ordered.
  // References must outlive it.
  SenderDesk(Env& env, SenderRows& rows, Senders* senders, SenderPolicy configured,
             std::vector<std::string> destinations);

  // Brings what the ledger has into force. A row that cannot be read is reported and let be.
  Result<void> load();
  // Carries an order out, durably, then at once in this process. Gives one sentence that says what
  // was done. "sender.unknown" (nobody of that name was seen or admitted), "sender.ambiguous" (it
  // came from several addresses), "sender.configured" (the configuration has that name),
  // "sender.bad_order" (with what is wrong): all permanent; and those of the ledger.
  Result<std::string> carry_out(const SenderOrder& order);
  // Admitted and blocked ones by name; what cannot be read has only its name.
  struct Word {
    Sender sender;
    bool blocked = false;
    WallTime changed_at;
  };
  Result<std::vector<Word>> words();

 private:
  Result<std::string> admit(const SenderOrder& order);
  Result<std::string> block(const SenderOrder& order);
  Result<std::string> remove(const SenderOrder& order);
  Result<std::optional<Sender>> known_as(const std::string& name);
  Result<Sender> sender_of(const SenderOrder& order);
  Result<void> apply_wishes(const SenderOrder& order, Sender& sender) const;
  Result<void> fill_addresses(const SenderOrder& order, Sender& sender);
  Result<void> keep(const Sender& sender, bool blocked);

  Env& env_;
  SenderRows& rows_;
  Senders* const senders_;
  const SenderPolicy configured_;
  const std::vector<std::string> destinations_;
};

// PS3.5 Table 6.2-1: 1 to 16 printable characters but backslash, without spaces around them.
bool is_ae_title(std::string_view text);
// What may stand where a sender's calling AE title does: an AE title, or the name of a caller of
// STOW-RS (a token's, a JWT's subject), which has up to 64 such characters.
bool is_calling_name(std::string_view text);
// The name that a sender gets by its AE title: "CT_1" → "ct_1", "CT 1" → "ct-1".
std::string sender_name_of(std::string_view ae_title);

}  // namespace isthmus
