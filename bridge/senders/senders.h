// Who may send, what, how much, and where it goes: policy as data, the same for every way in.
//
// Nothing here knows DIMSE or HTTP, sockets or threads of a receiver: a receiver describes who
// asks, and gets a decision with a stable reason that it turns into its own answer (A-ASSOCIATE-RJ,
// 403).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/commitment.h"
#include "senders/address_range.h"
#include "senders/routes.h"

namespace isthmus {

// Who the other side of a TLS connection proved to be. Names as they are in the certificate.
struct TlsIdentity {
  std::string fingerprint_sha256;          // of the certificate (DER), 64 lower-case hex digits
  std::string common_name;                 // of the subject; may be empty
  std::vector<std::string> subject_names;  // alternative names: DNS names, addresses, URIs
  bool operator==(const TlsIdentity&) const = default;
};

// Where a sender wants to be told what became of its instances (N-EVENT-REPORT).
struct ReportAddress {
  std::string host;  // a name or a numeric address
  std::uint16_t port = 0;
  bool tls = false;
  // By TLS: the name that its certificate must be for, when that is not `host`; and the SHA-256 of
  // the certificate, when it must be exactly that one (authority, name and dates are then nothing).
  std::string tls_name = {};
  std::string tls_pin_sha256 = {};  // 64 lower-case hex digits

  // "pacs.example:11112", "192.0.2.7:104", "[2001:db8::7]:104". Nothing when it is not that.
  static std::optional<ReportAddress> parse(std::string_view text, bool tls = false);
  std::string text() const;
  static bool is_host(std::string_view text);  // a name or a numeric address, by its letters
  // A SHA-256 as people write it, in hex of either case, with colons or without.
  static std::optional<std::string> parse_pin(std::string_view text);
  bool operator==(const ReportAddress&) const = default;
};

// 0 is no limit of its own.
struct SenderLimits {
  std::size_t associations = 0;  // at once
  double instances_per_second = 0;
  double bytes_per_second = 0;
  bool operator==(const SenderLimits&) const = default;
};

struct Sender {
  std::string name;                            // unique; may be shown everywhere
  std::vector<std::string> calling_ae_titles;  // of which it calls itself one; empty: any
  std::vector<std::string> called_ae_titles;   // by which it may call us; empty: any of ours
  std::vector<AddressRange> addresses;         // that it comes from; empty: any
  // Certificates it shows: a fingerprint (SHA-256, hex, colons allowed), a common name or an
  // alternative name. Not empty: it must come by TLS and show one of them.
  std::vector<std::string> tls_identities;
  std::vector<std::string> sop_classes;  // UIDs and groups of allows_sop_class(); empty: any
  SenderLimits limits;
  std::optional<std::vector<std::string>> destinations;  // nothing: every one
  std::optional<ReportAddress> report_to;                // nothing: reports only while it listens
  Milliseconds report_on_same_association{0};       // tried for so long after a request; 0: never
  bool report_on_its_associations = false;          // whenever it opens one with the context
  bool report_without_role = true;                  // when it does not confirm our role as SCP
  std::optional<CommitmentLevel> commitment_level;  // nothing: the gateway's own
  bool may_ask_commitment = true;
  bool operator==(const Sender&) const = default;
};

// Who asks to be let in. Everything in it was said by the other side but for the address and what
// TLS proved.
struct SenderRequest {
  std::string calling_ae_title;    // trimmed
  std::string called_ae_title;     // trimmed
  std::string peer_address;        // numeric
  std::optional<TlsIdentity> tls;  // nothing: not by TLS, or without a certificate
  // HTTP has no called AE title: rules about it do not concern who comes that way.
  bool has_called_ae_title = true;
};

// What becomes of senders nobody wrote down.
enum class SenderMode : std::uint8_t {
  discover,  // refused, and remembered for a person to admit
  known,     // refused
  open,      // let in: for tests
};
std::string_view to_string(SenderMode mode);
std::optional<SenderMode> parse_sender_mode(std::string_view word);

// Why a sender is not let in: the furthest that any sender with its calling AE title got.
enum class SenderRefusal : std::uint8_t {
  none,
  called_ae_title,  // not a title of ours, or not one that this sender may use
  unknown_sender,   // no sender calls itself that
  sender_address,   // … but none from that address
  sender_tls,       // … but none that proved to be it
  sender_blocked,   // a person said no
};
// "unknown_sender": for metrics, logs and lists; stable.
std::string_view to_string(SenderRefusal refusal);

struct SenderDecision {
  SenderRefusal refusal = SenderRefusal::none;
  // Who it is, when it is let in. A name of nobody ("") when only the mode `open` lets it in.
  Sender sender;
  bool admitted() const { return refusal == SenderRefusal::none; }
};

struct SenderPolicy {
  SenderMode mode = SenderMode::discover;
  std::vector<std::string> ae_titles;  // of ours; empty: we answer to every one
  std::vector<Sender> senders;
  Routes routes;
};

// Whether a sender may store instances of this class. Groups: "images", "reports" (structured
// reports and encapsulated documents), "waveforms", "presentation_states", "radiotherapy", "other";
// what is not a UID or a group allows nothing (is_sop_class_rule tells).
bool allows_sop_class(const Sender& sender, std::string_view sop_class_uid);
bool is_sop_class_rule(std::string_view text);

// The policy in force. Any thread; a decision is made on one state of the policy, and the policy
// may be replaced at any time.
class Senders {
 public:
  explicit Senders(SenderPolicy policy);

  SenderDecision admit(const SenderRequest& request) const;
  std::optional<Sender> find(std::string_view name) const;
  // The sender that calls itself this, the first by name if there are several: for reports to it.
  std::optional<Sender> find_by_ae_title(std::string_view calling_ae_title) const;
  // Of a decision's sender; destinations are filled as Identified::destinations takes them.
  RouteDecision route(const Sender& sender, const RouteAttributes& attributes) const;
  bool routes_look_at(RouteAttribute attribute) const {
    return policy()->routes.look_at(attribute);
  }

  // What is to be done with a sender that was refused and may be admitted by a person: called by
  // refused() in the mode `discover`, from any thread; must not block. Set before the first
  // request.
  using NoteRefused = std::function<void(const SenderRequest& request, SenderRefusal refusal,
                                         std::string_view asked)>;
  void on_refused(NoteRefused note) { note_refused_ = std::move(note); }
  // Receivers say whom they refused, and in words for people what was asked for.
  void refused(const SenderRequest& request, SenderRefusal refusal, std::string_view asked) const;

  SenderMode mode() const { return policy()->mode; }
  std::vector<Sender> senders() const { return policy()->senders; }
  std::size_t count() const { return policy()->senders.size(); }
  // Senders that a person admitted or blocked while the gateway runs, besides the configured ones:
  // a configured sender of the same name stays as it is.
  void set_admitted(std::vector<Sender> admitted, std::vector<Sender> blocked);
  // Another one whenever what is in force changed: whoever was let in before asks again. Taken
  // before admit(), it belongs to a decision of that policy or an older one.
  std::uint64_t version() const { return version_.load(std::memory_order_acquire); }

 private:
  // Readers hold the policy that they began with while a new one takes its place: shared, because
  // nobody knows who is last.
  struct InForce : SenderPolicy {
    std::vector<Sender> blocked;
  };
  std::shared_ptr<const InForce> policy() const;

  const SenderPolicy configured_;
  NoteRefused note_refused_;
  mutable std::mutex mutex_;
  std::shared_ptr<const InForce> policy_;
  std::atomic<std::uint64_t> version_{0};
};

}  // namespace isthmus
