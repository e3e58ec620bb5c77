// DCMTK's association machinery, fed with connections of ours: it never listens, never accepts and
// never reads a socket (DESIGN.md section 6a).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/env.h"
#include "dimse/guard/connection.h"
#include "dimse/policy/negotiation.h"

struct T_ASC_Association;
struct T_ASC_Network;

namespace isthmus::dimse {

// One association of DCMTK. One thread at a time. Destroyed, it closes its connection, which hands
// the socket back.
class Association {
 public:
  ~Association();
  Association(Association&& other) noexcept;
  Association& operator=(Association&&) = delete;

  // Sends the A-ASSOCIATE-AC.
  Result<void> accept(const std::vector<ContextDecision>& decisions,
                      const std::vector<std::string>& extended_answers);
  // After await() said `release`: sends the A-RELEASE-RP.
  Result<void> acknowledge_release();
  Result<void> send_command(std::uint8_t context_id, const Bytes& command_set);
  // Right after the command that announces it; in PDUs as long as the peer takes them.
  Result<void> send_dataset(std::uint8_t context_id, Bytes dataset);
  GuardedConnection& connection() { return *connection_; }

 private:
  friend class Network;
  Association(T_ASC_Association* association, GuardedConnection* connection)
      : association_(association), connection_(connection) {}
  Result<void> send(std::uint8_t context_id, bool is_command, Bytes content);

  T_ASC_Association* association_;
  GuardedConnection* connection_;  // DCMTK's
};

class Network {
 public:
  // "dimse.dcmtk" (permanent) when DCMTK cannot be initialised, or its data dictionary is missing.
  static Result<std::unique_ptr<Network>> open();
  ~Network();

  // Hands a connection, whose first PDU is an examined request, to DCMTK. Any thread. Short:
  // everything that is read is there already.
  Result<Association> receive(std::unique_ptr<GuardedConnection> connection, int descriptor,
                              std::uint32_t max_pdu_bytes);

 private:
  class Layer;
  Network();

  std::unique_ptr<Layer> layer_;
  T_ASC_Network* network_ = nullptr;
};

}  // namespace isthmus::dimse
